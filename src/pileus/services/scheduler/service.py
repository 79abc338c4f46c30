"""Amazon EventBridge Scheduler's manifest."""

from __future__ import annotations

from pileus.cloud.manifest import Service, free, reading, writing
from pileus.services.scheduler import invoking, timers
from pileus.services.scheduler.operations import groups, schedules
from pileus.services.scheduler.permissions import on_all, on_group, on_resource, on_schedule

SERVICE = Service(
    name="scheduler",
    operations={
        "CreateSchedule": free(schedules.create_schedule, on_schedule("CreateSchedule")),
        "UpdateSchedule": free(schedules.update_schedule, on_schedule("UpdateSchedule")),
        "DeleteSchedule": writing(schedules.delete_schedule, on_schedule("DeleteSchedule")),
        "GetSchedule": reading(schedules.get_schedule, on_schedule("GetSchedule")),
        "ListSchedules": reading(schedules.list_schedules, on_all("ListSchedules")),
        "CreateScheduleGroup": writing(groups.create_schedule_group, on_group("CreateScheduleGroup")),
        "GetScheduleGroup": writing(groups.get_schedule_group, on_group("GetScheduleGroup")),
        "DeleteScheduleGroup": writing(groups.delete_schedule_group, on_group("DeleteScheduleGroup")),
        "ListScheduleGroups": writing(groups.list_schedule_groups, on_all("ListScheduleGroups")),
        "TagResource": writing(groups.tag_resource, on_resource("TagResource")),
        "UntagResource": writing(groups.untag_resource, on_resource("UntagResource")),
        "ListTagsForResource": reading(groups.list_tags_for_resource, on_resource("ListTagsForResource")),
    },
    targets={
        timers.TARGET: timers.ring,
        timers.INVOKE_TARGET: invoking.invoke,
        timers.DEAD_TARGET: invoking.bury,
    },
)

"""Amazon EventBridge's manifest."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.cloud.manifest import Loop, Service, free, reading, writing
from pileus.services.events import (
    authorizing,
    calling,
    delivering,
    failover,
    loops,
    metrics,
    replaying,
    routing,
    timers,
)
from pileus.services.events.book import Books
from pileus.services.events.operations import (
    api_destinations,
    archives,
    buses,
    connections,
    endpoints,
    events,
    partner_sources,
    replays,
    rules,
    tags,
    targets,
)
from pileus.services.events.permissions import (
    on_all,
    on_bus,
    on_endpoint,
    on_named,
    on_resource,
    on_rule,
    on_rules,
    on_source,
    policies_of_entries,
    policy_of_bus,
    put_events,
    refined,
)

_on_bus = policy_of_bus("Name")
_on_rule = policy_of_bus("EventBusName")


async def start(cloud: Cloud) -> None:
    cloud.parts[Books] = Books()
    cloud.parts[calling.Rates] = calling.Rates()
    cloud.parts[authorizing.Tokens] = authorizing.Tokens()


SERVICE = Service(
    name="events",
    operations={
        "PutEvents": free(events.put_events, put_events, policies_of_entries),
        "TestEventPattern": reading(events.test_event_pattern, on_all("TestEventPattern")),
        "CreateEventBus": writing(buses.create_event_bus, on_bus("CreateEventBus")),
        "UpdateEventBus": writing(buses.update_event_bus, on_bus("UpdateEventBus")),
        "DeleteEventBus": writing(buses.delete_event_bus, on_bus("DeleteEventBus")),
        "DescribeEventBus": writing(buses.describe_event_bus, on_bus("DescribeEventBus"), _on_bus),
        "ListEventBuses": writing(buses.list_event_buses, on_all("ListEventBuses")),
        "PutPermission": writing(buses.put_permission, on_bus("PutPermission", "EventBusName")),
        "RemovePermission": writing(buses.remove_permission, on_bus("RemovePermission", "EventBusName")),
        "PutRule": writing(rules.put_rule, on_rule("PutRule"), _on_rule),
        "DescribeRule": reading(rules.describe_rule, on_rule("DescribeRule"), _on_rule),
        "ListRules": reading(rules.list_rules, on_rules("ListRules"), _on_rule),
        "ListRuleNamesByTarget": reading(rules.list_rule_names_by_target, on_rules("ListRuleNamesByTarget"), _on_rule),
        "EnableRule": writing(rules.enable_rule, on_rule("EnableRule"), _on_rule),
        "DisableRule": writing(rules.disable_rule, on_rule("DisableRule"), _on_rule),
        "DeleteRule": writing(rules.delete_rule, on_rule("DeleteRule"), _on_rule),
        "PutTargets": writing(targets.put_targets, on_rule("PutTargets", "Rule"), _on_rule),
        "RemoveTargets": writing(targets.remove_targets, on_rule("RemoveTargets", "Rule"), _on_rule),
        "ListTargetsByRule": reading(targets.list_targets_by_rule, on_rule("ListTargetsByRule", "Rule"), _on_rule),
        "TagResource": writing(tags.tag_resource, on_resource("TagResource")),
        "UntagResource": writing(tags.untag_resource, on_resource("UntagResource")),
        "ListTagsForResource": reading(tags.list_tags_for_resource, on_resource("ListTagsForResource")),
        "CreateArchive": writing(archives.create_archive, on_named("CreateArchive", "archive", "ArchiveName")),
        "UpdateArchive": writing(archives.update_archive, on_named("UpdateArchive", "archive", "ArchiveName")),
        "DeleteArchive": writing(archives.delete_archive, on_named("DeleteArchive", "archive", "ArchiveName")),
        "DescribeArchive": reading(archives.describe_archive, on_named("DescribeArchive", "archive", "ArchiveName")),
        "ListArchives": reading(archives.list_archives, on_all("ListArchives")),
        "CreatePartnerEventSource": writing(
            partner_sources.create_partner_event_source, on_source("CreatePartnerEventSource")
        ),
        "DeletePartnerEventSource": writing(
            partner_sources.delete_partner_event_source, on_source("DeletePartnerEventSource")
        ),
        "DescribePartnerEventSource": reading(
            partner_sources.describe_partner_event_source, on_source("DescribePartnerEventSource")
        ),
        "ListPartnerEventSources": reading(
            partner_sources.list_partner_event_sources, on_all("ListPartnerEventSources")
        ),
        "ListPartnerEventSourceAccounts": reading(
            partner_sources.list_partner_event_source_accounts,
            on_source("ListPartnerEventSourceAccounts", "EventSourceName"),
        ),
        "PutPartnerEvents": writing(partner_sources.put_partner_events, on_all("PutPartnerEvents")),
        "ActivateEventSource": writing(partner_sources.activate_event_source, on_source("ActivateEventSource")),
        "DeactivateEventSource": writing(partner_sources.deactivate_event_source, on_source("DeactivateEventSource")),
        "DescribeEventSource": reading(partner_sources.describe_event_source, on_source("DescribeEventSource")),
        "ListEventSources": reading(partner_sources.list_event_sources, on_all("ListEventSources")),
        "StartReplay": writing(replays.start_replay, on_named("StartReplay", "replay", "ReplayName")),
        "CancelReplay": writing(replays.cancel_replay, on_named("CancelReplay", "replay", "ReplayName")),
        "DescribeReplay": reading(replays.describe_replay, on_named("DescribeReplay", "replay", "ReplayName")),
        "ListReplays": reading(replays.list_replays, on_all("ListReplays")),
        "CreateConnection": writing(
            connections.create_connection, on_named("CreateConnection", "connection", "Name"), refine=refined
        ),
        "UpdateConnection": writing(
            connections.update_connection, on_named("UpdateConnection", "connection", "Name"), refine=refined
        ),
        "DeauthorizeConnection": writing(
            connections.deauthorize_connection, on_named("DeauthorizeConnection", "connection", "Name"), refine=refined
        ),
        "DeleteConnection": writing(
            connections.delete_connection, on_named("DeleteConnection", "connection", "Name"), refine=refined
        ),
        "DescribeConnection": reading(
            connections.describe_connection, on_named("DescribeConnection", "connection", "Name"), refine=refined
        ),
        "CreateApiDestination": writing(
            api_destinations.create_api_destination,
            on_named("CreateApiDestination", "api-destination", "Name"),
            refine=refined,
        ),
        "UpdateApiDestination": writing(
            api_destinations.update_api_destination,
            on_named("UpdateApiDestination", "api-destination", "Name"),
            refine=refined,
        ),
        "DeleteApiDestination": writing(
            api_destinations.delete_api_destination,
            on_named("DeleteApiDestination", "api-destination", "Name"),
            refine=refined,
        ),
        "DescribeApiDestination": reading(
            api_destinations.describe_api_destination,
            on_named("DescribeApiDestination", "api-destination", "Name"),
            refine=refined,
        ),
        "CreateEndpoint": writing(endpoints.create_endpoint, on_endpoint("CreateEndpoint")),
        "UpdateEndpoint": writing(endpoints.update_endpoint, on_endpoint("UpdateEndpoint")),
        "DeleteEndpoint": writing(endpoints.delete_endpoint, on_endpoint("DeleteEndpoint")),
        "DescribeEndpoint": reading(endpoints.describe_endpoint, on_endpoint("DescribeEndpoint")),
        "ListEndpoints": reading(endpoints.list_endpoints, on_all("ListEndpoints")),
        # From inside only: AWS's API has no such operation.
        "InvokeApiDestination": free(
            calling.invoke_api_destination, on_resource("InvokeApiDestination", "ApiDestinationArn")
        ),
        "ListConnections": reading(connections.list_connections, on_all("ListConnections")),
        "ListApiDestinations": reading(api_destinations.list_api_destinations, on_all("ListApiDestinations")),
    },
    loops=(
        Loop("events.sweep", loops.sweep, period_s=3600),
        Loop("events.retention", loops.retain, period_s=3600),
    ),
    targets={
        **{
            routing.target_name(kind): metrics.counted(delivering.deliver)
            for kind in routing.KINDS
            if kind not in ("bus", "api-destination")
        },
        routing.target_name("bus"): metrics.counted(delivering.deliver_to_bus),
        routing.target_name("api-destination"): metrics.counted(calling.call),
        routing.DEAD_TARGET: delivering.bury,
        authorizing.TARGET: authorizing.authorize,
        failover.TARGET: failover.work,
        timers.TARGET: timers.ring,
        replaying.TARGET: replaying.step,
    },
    # Waiting for the world costs little.
    target_limits={routing.target_name("api-destination"): 512},
    start=start,
    resolve=events.resolve,
)

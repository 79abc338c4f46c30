"""Amazon EventBridge Pipes' manifest.

Permissions: "Actions, resources, and condition keys for Amazon EventBridge Pipes" of the Service Authorization
Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Loop, Permission, Request, Service, reading, writing
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.operations import pipes
from pileus.services.pipes.running import Runners, look_at_all


def _on_pipe(action: str) -> Callable[[Context, Request], Sequence[Permission]]:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        needed = [Permission(f"pipes:{action}", PipeName(ctx.account, ctx.region, request["Name"]).arn)]
        if role := request.get("RoleArn"):
            needed.append(Permission("iam:PassRole", role, {"iam:PassedToService": "pipes.amazonaws.com"}))
        return needed

    return permissions


def _on_resource(action: str) -> Callable[[Context, Request], Sequence[Permission]]:
    return lambda ctx, request: [Permission(f"pipes:{action}", request["resourceArn"])]


async def _start(cloud: Cloud) -> None:
    cloud.parts[Runners] = Runners(cloud)


async def _stop(cloud: Cloud) -> None:
    await cloud.part(Runners).close()


SERVICE = Service(
    name="pipes",
    operations={
        "CreatePipe": writing(pipes.create_pipe, _on_pipe("CreatePipe")),
        "UpdatePipe": writing(pipes.update_pipe, _on_pipe("UpdatePipe")),
        "DeletePipe": writing(pipes.delete_pipe, _on_pipe("DeletePipe")),
        "DescribePipe": reading(pipes.describe_pipe, _on_pipe("DescribePipe")),
        "ListPipes": reading(pipes.list_pipes),
        "StartPipe": writing(pipes.start_pipe, _on_pipe("StartPipe")),
        "StopPipe": writing(pipes.stop_pipe, _on_pipe("StopPipe")),
        "TagResource": writing(pipes.tag_resource, _on_resource("TagResource")),
        "UntagResource": writing(pipes.untag_resource, _on_resource("UntagResource")),
        "ListTagsForResource": reading(pipes.list_tags_for_resource, _on_resource("ListTagsForResource")),
    },
    loops=(Loop("pipes.look", look_at_all, period_s=60),),
    start=_start,
    stop=_stop,
)

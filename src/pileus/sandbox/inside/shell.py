"""A sandbox's own two processes: the first of its namespaces, and the runner.

The first process does nothing but wait: it reaps, tells how the runner ended, takes down what the runner started, and
forks another runner when told to. It calls the C library and hardly any Python, so that nearly all of its memory stays
the template's. The runner takes an order, makes the namespaces a world to live in, waits for its assignment, moves what
it names into place, becomes the unprivileged user and runs it.

Runner's socket:     <- {"here": true}                       -> one byte, to go on
                     <- {"listening": ports} + sockets, {"ready": true}, {"prepared": true}, {"failed": why},
                        {"not_executed": error number}, {"guard": true} + [what is asked before it is cloned]
                     -> the assignment + [output, detached mounts...], with "prepare": only these
Channel (first):     <- four bytes: how a run ended, as `waitpid` says
                     -> "k": end what is left of it             <- four bytes, when that is done
                     -> "r": the same, a message + the next runner's socket

What joins a sandbox is another runner. Its parent, which stays outside of the process namespace, first takes a message
with a descriptor of the sandbox's first process off the runner's socket. {"socket": true} asks for a socket from there,
{"world": {"user", "tmp_mb"}} that its namespaces be furnished: those of a clone of a snapshot, see `snapshot.py`.

Where a program runs ahead of the assignment, the runner becomes that program at once, and a helper waits in its place:
it moves things into place and hands the assignment on.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from . import kernel
from .bootstrap import HOST, protect_from_memory_shortage, write_maps
from .messages import Message, Receiver, encode, send

# The visible figures of an AWS environment ("Lambda quotas" and what `getrlimit` answers there).
_LIMITS: list[tuple[int, int, int]] = [
    (resource.RLIMIT_CORE, 10737418240, 10737418240),
    (resource.RLIMIT_STACK, 8388608, resource.RLIM_INFINITY),
]
if hasattr(resource, "RLIMIT_MEMLOCK"):
    _LIMITS.append((resource.RLIMIT_MEMLOCK, 65536, 65536))

# What strangers must not find. Named one by one: every object that is looked at costs a clone a page of memory.
_OWN_MODULES = tuple(
    f"inside{name}"
    for name in ("", ".bootstrap", ".kernel", ".messages", ".renewal", ".shell", ".snapshot", ".template")
)


# What makes the `wait` of a runner that is to be a template itself.
BecomeTemplate = Callable[[Message, socket.socket], Callable[[], Message]]

DEFAULT, IGNORE = ctypes.c_void_p(0), ctypes.c_void_p(1)
_PR_GET_DUMPABLE = 3
_REHEARSALS = 12
_HERE, _READY = encode({"here": True}), encode({"ready": True})
_PEEK = int(socket.MSG_PEEK)
_byte, _status = ctypes.create_string_buffer(1), ctypes.c_int(0)
_status_by_reference = ctypes.byref(_status)


def be_first(channel: int, talk: int, fork: Callable[[], int] = kernel.fork) -> int:
    """Be the first process of new namespaces; returns in each runner, with its socket."""
    bare = kernel.bare
    bare.signal(int(signal.SIGCHLD), DEFAULT)
    while True:
        runner = fork()
        if runner == 0:
            return talk if talk >= 0 else _next_socket(channel)
        if talk >= 0:
            bare.close(talk)
            talk = -1
        if runner < 0:
            _status.value = 70 << 8
        else:
            while bare.waitpid(-1, _status_by_reference, 0) != runner:
                pass
        bare.write(channel, _status_by_reference, 4)
        while True:
            if bare.read(channel, _byte, 1) != 1:
                bare._exit(0)
            # All that is inside, but for this process.
            bare.kill(-1, 9)
            while bare.waitpid(-1, None, 0) > 0:
                pass
            if _byte.raw == b"r":
                break
            bare.write(channel, _status_by_reference, 4)


def _next_socket(channel: int) -> int:
    with socket.socket(fileno=os.dup(channel)) as connection:
        received = Receiver(connection).receive()
    if received is None:
        os._exit(70)
    return received[1][0]


def be_first_without_namespaces(channel: int, talk: int) -> int:
    """The same where nobody but this process finds what the runner has started: it hears of the server's end, too."""
    kernel.die_with_parent(signal.SIGTERM)
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    os.setsid()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    while True:
        runner = os.fork()
        if runner == 0:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            kernel.die_with_parent()
            for fd in (wake_read, wake_write, channel):
                os.close(fd)
            return talk
        os.close(talk)
        again = False
        while not again:
            ready = {fd for fd, _events in poller.poll()}
            if wake_read in ready:
                if signal.SIGTERM in os.read(wake_read, 4096):
                    _kill_descendants()
                    os._exit(0)
                status = _reap(runner)
                if status is not None:
                    os.write(channel, status.to_bytes(4, sys.byteorder))
            elif channel in ready:
                asked = os.read(channel, 1)
                _kill_descendants()
                if not asked:
                    os._exit(0)
                again = asked == b"r"
                if again:
                    # Taken here: both of us would read.
                    talk = _next_socket(channel)
                else:
                    os.write(channel, bytes(4))


def join(plan: Message, channel: int, talk: int) -> Message:
    """Be another runner of a sandbox that is there; returns in it. Its parent, this process, tells how it ended."""
    code = 70
    try:
        kernel.die_with_parent()
        kernel.bare.signal(int(signal.SIGCHLD), DEFAULT)
        connection = socket.socket(fileno=talk)
        received = Receiver(connection).receive()
        if received is None:
            os._exit(code)
        message, fds = received
        if "world" in message:
            _furnish(plan, message["world"], fds[0], connection)
        if plan["clone_flags"]:
            kernel.setns(fds[0], plan["clone_flags"])
            os.close(fds[0])
        if "socket" in message:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
                send(connection, {"socket": True}, [made.fileno()])
            os._exit(0)
        runner = os.fork()
        if runner == 0:
            return be_runner(plan, connection.detach(), first=False)
        connection.close()
        _pid, status = os.waitpid(runner, 0)
        os.write(channel, status.to_bytes(4, sys.byteorder))
        code = 0
    except BaseException:  # noqa: BLE001 -- this clone must not go on as a second template
        traceback.print_exc()
    os._exit(code)


def _furnish(plan: Message, world: Message, first: int, connection: socket.socket) -> NoReturn:
    """Give namespaces that a snapshot's clone has made what others have made for themselves: /proc, /tmp, sockets."""
    kernel.setns(first, kernel.CLONE_NEWPID)
    ours, theirs = socket.socketpair()
    inside = os.fork()
    if inside == 0:
        # A mount from out here, where /proc may be mounted; in there it could not be (it is hidden in part).
        process_list = kernel.detached_mount(
            "proc", {}, kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV | kernel.MOUNT_ATTR_NOEXEC
        )
        kernel.setns(first, plan["clone_flags"] & ~kernel.CLONE_NEWPID)
        kernel.move_mount(process_list, "/proc")
        _close_settings()
        _mount_tmp(world["user"], world["tmp_mb"])
        listening: list[socket.socket] = []
        if plan["listen"] or plan["listen_datagrams"]:
            kernel.loopback_up()
            listening = kernel.listen_inside(plan["listen"], plan["listen_datagrams"], own_network=True)
        send(theirs, {"world": True}, [each.fileno() for each in listening])
        os._exit(0)
    theirs.close()
    os.waitpid(inside, 0)
    # Told when none of us is in there any more: the function would find it among its processes.
    told = Receiver(ours).receive()
    if told is not None:
        send(connection, *told)
    os._exit(0)


def rehearse() -> None:
    """Do in the template what a runner does and undo it, as often as it takes Python to keep what it learns of it."""
    for number in range(_REHEARSALS):
        ours, theirs = socket.socketpair()
        sample = {"number": number, "again": False, "environment": dict(os.environ), "argv": [], "share": 0.5}
        send(ours, sample, [ours.fileno(), theirs.fileno()])
        received = Receiver(theirs).receive()
        assert received is not None
        message, fds = received
        os.environ.clear()
        os.environ.update(message["environment"])
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, fds[0])
        if sys.platform == "linux":
            kernel.prctl(_PR_GET_DUMPABLE)
        for kind, _soft, _hard in _LIMITS:
            resource.setrlimit(kind, resource.getrlimit(kind))
        os.chdir("/")
        for each in (null, *fds):
            os.close(each)
        ours.close()
        theirs.close()


def be_runner(
    plan: Message, talk: int, *, first: bool = True, become_template: BecomeTemplate | None = None
) -> Message:
    """Returns once it is what it was assigned to be; one that is to be a template has a `wait` in its payload."""
    bare = kernel.bare
    bare.write(talk, _HERE, len(_HERE))
    # The server puts this process into its cgroup before anything of weight happens.
    if bare.read(talk, _byte, 1) != 1:
        bare._exit(70)
    control = None
    try:
        again = not first or _byte.raw == b"a"
        listening = [] if again else _make_world(plan)
        if plan["clone_flags"]:
            kernel.drop_bounding_set()
        if listening:
            control = socket.socket(fileno=talk)
            ports = [each.getsockname()[1] for each in listening]
            send(control, {"listening": ports}, [each.fileno() for each in listening])
            for one in listening:
                one.close()
        if first and plan["ahead"]:
            control = control or socket.socket(fileno=talk)
            _run_ahead(plan, control)
        bare.write(talk, _READY, len(_READY))
        # Until it is assigned, it waits without having touched more.
        bare.recv(talk, _byte, 1, _PEEK)
        control = control or socket.socket(fileno=talk)
        received = _receive(plan, control)
        if received is None:
            os._exit(70)
        return _assigned(plan, *received, control, become_template)
    except BaseException:  # noqa: BLE001 -- the server must hear of it, whatever it is
        control = control or socket.socket(fileno=talk)
        if control.fileno() >= 0:
            with contextlib.suppress(OSError):
                send(control, {"failed": traceback.format_exc()})
            os._exit(70)
        traceback.print_exc()
        os._exit(1)


def _receive(plan: Message, control: socket.socket) -> tuple[Message, list[int]] | None:
    """The assignment; what is to be prepared ahead of it is."""
    receiver = Receiver(control)
    while (received := receiver.receive()) is not None and received[0].get("prepare"):
        message, fds = received
        os.close(fds.pop(0))
        if plan["clone_flags"]:
            _mount(plan, message, fds)
        send(control, {"prepared": True})
    return received


def _make_world(plan: Message) -> list[socket.socket]:
    """What the namespaces need before anything is assigned, and the sockets that listen inside where we make them."""
    isolated = bool(plan["clone_flags"])
    listening: list[socket.socket] = []
    if plan["listen"] or plan["listen_datagrams"]:
        if isolated:
            kernel.loopback_up()
        # Without a network namespace the ports are the host's: whichever are free.
        ports, datagrams = ([port if isolated else 0 for port in plan[name]] for name in ("listen", "listen_datagrams"))
        listening = kernel.listen_inside(ports, datagrams, own_network=isolated)
    if isolated:
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        _close_settings()
        kernel.sethostname(plan["host_name"].encode())
    return listening


def _close_settings() -> None:
    """The kernel's settings can be read, and no more."""
    kernel.mount("/proc/sys", "/proc/sys", None, kernel.MS_BIND)
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY
    kernel.mount(None, "/proc/sys", None, flags | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _assigned(
    plan: Message, assignment: Message, fds: list[int], control: socket.socket, become_template: BecomeTemplate | None
) -> Message:
    isolated = bool(plan["clone_flags"])
    output = fds.pop(0)
    os.setsid()
    if isolated:
        protect_from_memory_shortage("0")
        if not assignment["again"]:
            _mount(plan, assignment, fds)
    null = os.open("/dev/null", os.O_RDWR)
    _redirect(null, output)
    os.chdir(assignment["working_directory"])
    _limit(plan, assignment)
    is_template = assignment.get("template", False)
    _become_user(plan, assignment["user"], *([kernel.CAP_SYS_ADMIN] if is_template else []))
    if is_template:
        _confine_template(plan, control)
    else:
        _confine(plan, assignment.get("landlock"))
    if assignment["argv"]:
        _execute(plan, assignment["argv"], assignment["environment"], control)
    os.environ.clear()
    os.environ.update(assignment["environment"])
    payload: Message = assignment["payload"]
    if is_template and become_template is not None:
        kept = control.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, 1024)
        payload = {**payload, "wait": become_template(plan, control)}
    else:
        control.close()
        os.closerange(3, 1024)
    for name in _OWN_MODULES:
        sys.modules.pop(name, None)
    return payload


def _run_ahead(plan: Message, control: socket.socket) -> NoReturn:
    """Be the program that waits for its assignment on standard input."""
    received = Receiver(control).receive()
    if received is None:
        os._exit(70)
    message, fds = received
    ahead = plan["ahead"]
    reading, writing = os.pipe()
    going_read, going_write = os.pipe()
    gone_read, gone_write = os.pipe()
    helper = os.fork()
    if helper == 0:
        # Its parent shall be the first process, which reaps it.
        if os.fork() == 0:
            for each in (reading, going_read, gone_write, fds[0]):
                os.close(each)
            _hand_over(plan, control, writing, going_write, gone_read)
        os._exit(0)
    os.waitpid(helper, 0)
    for each in (writing, going_write, gone_read):
        os.close(each)
    os.setsid()
    protect_from_memory_shortage("0")
    _redirect(reading, fds[0])
    _limit(plan, ahead)
    _become_user(plan, message["user"])
    if kernel.cloner(kernel.CLONE_FS | kernel.CLONE_PARENT)() == 0:
        # Whoever shares its working directory can change it for a program that runs already.
        _go(going_read, gone_write, reading, control)
    _confine(plan, None)
    _execute(plan, ahead["argv"], ahead["environment"], control)


def _go(going: int, gone: int, others: int, control: socket.socket) -> NoReturn:
    """Change the working directory of the program that runs ahead, once it is known."""
    try:
        os.close(others)
        control.close()
        folder = os.read(going, 65536)
        if folder:
            os.chdir(folder)
            os.write(gone, b"1")
    finally:
        os._exit(0)


def _hand_over(plan: Message, control: socket.socket, writing: int, going: int, gone: int) -> None:
    """Wait for the assignment in the place of the program that runs ahead."""
    try:
        send(control, {"ready": True})
        received = _receive(plan, control)
        if received is None:
            return
        assignment, fds = received
        os.close(fds.pop(0))
        if not assignment["again"]:
            _mount(plan, assignment, fds)
        os.write(going, assignment["working_directory"].encode())
        if not os.read(gone, 1):
            raise FileNotFoundError(assignment["working_directory"])
        told = {name: assignment[name] for name in ("environment", "working_directory", "payload")}
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps(told).encode())
    except BrokenPipeError:
        # The program has ended: the first process tells of it.
        return
    except BaseException:  # noqa: BLE001 -- the server must hear of it, whatever it is
        send(control, {"failed": traceback.format_exc()})


def _redirect(standard_input: int, output: int) -> None:
    os.dup2(standard_input, 0, inheritable=True)
    os.dup2(output, 1)
    os.dup2(output, 2)


def _confine(plan: Message, landlock: Message | None) -> None:
    if sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if landlock:
            kernel.landlock(landlock["readable"], landlock["writable"])
        if plan["filter"]:
            kernel.install_filter(bytes.fromhex(plan["filter"]))


def _confine_template(plan: Message, control: socket.socket) -> None:
    """The same, but that the server is asked whether it may clone itself into new namespaces."""
    if not plan["filter"]:
        raise OSError(errno.ENOSYS, "a template may not run without a filter")
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    program = kernel.ask_for_clone(plan["clone_flags"]) + bytes.fromhex(plan["filter"])
    guard = kernel.install_asking_filter(program)
    send(control, {"guard": True}, [guard])
    os.close(guard)


def _execute(plan: Message, argv: list[str], environment: dict[str, str], control: socket.socket) -> NoReturn:
    """Become another program, or end with the exit code of a shell that could not."""
    for number in (signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    # The socket tells of a failure; it closes by itself when the program is there.
    os.set_inheritable(control.fileno(), False)
    os.closerange(3, control.fileno())
    os.closerange(control.fileno() + 1, 1024)
    if plan["output_again"] and plan["output_again"] != control.fileno():
        os.dup2(1, plan["output_again"])
    try:
        os.execvpe(argv[0], argv, environment)  # noqa: S606 -- that is the assignment
    except OSError as error:
        send(control, {"not_executed": error.errno})
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _reap(runner: int = 0) -> int | None:
    """Collect what has ended; how the runner did, if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == runner:
                found = ended[1]
    return found


def _descendants() -> list[int]:
    """Every process below this one, found in /proc; what has lost its parent has come to us, the subreaper."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return []
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
    found, wanted = [], {os.getpid()}
    while wanted:
        wanted = {pid for pid, parent in parents.items() if parent in wanted}
        found += sorted(wanted)
    return found


def _kill_descendants() -> None:
    # Stopped first, so that none of them forks while the others are killed.
    for number in (signal.SIGSTOP, signal.SIGKILL):
        while left := [pid for pid in _descendants() if not _is_stopped(pid, number)]:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            _reap()


def _is_stopped(pid: int, number: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state in (b"Z", b"X") or (number == signal.SIGSTOP and state in (b"T", b"t"))


def _mount(plan: Message, assignment: Message, fds: list[int]) -> None:
    for target, fd in zip(assignment["detached"], fds):  # noqa: B905 -- `strict` is unknown to Python 3.9
        kernel.move_mount(fd, target)
        os.close(fd)
    for target, sources in assignment["sources"].items():
        found = [HOST + each for each in sources]
        if len(found) == 1:
            fd = kernel.open_tree(found[0])
            kernel.restrict_mount(fd)
            kernel.move_mount(fd, target)
            os.close(fd)
        else:
            flags = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
            kernel.mount("overlay", target, "overlay", flags, f"lowerdir={kernel.overlay_options(found)}")
    _mount_tmp(assignment["user"], assignment["tmp_mb"])
    for path in plan["dropped"]:
        kernel.umount(path)


def _mount_tmp(user: int, size_mb: int) -> None:
    kernel.mount(
        "tmpfs",
        "/tmp",  # noqa: S108 -- that is the sandbox's own
        "tmpfs",
        kernel.MS_NOSUID | kernel.MS_NODEV,
        f"mode=0700,size={size_mb}m,nr_inodes={size_mb * 256},uid={user},gid={user}",
    )


def _limit(plan: Message, assignment: Message) -> None:
    limits = [*_LIMITS, (resource.RLIMIT_NOFILE, assignment["files"], assignment["files"])]
    limits += [(getattr(resource, name), value, value) for name, value in assignment["rlimits"].items()]
    for kind, soft, wanted in limits:
        hard, ceiling = wanted, resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY and not plan["may_raise_limits"]:
            hard = ceiling if wanted == resource.RLIM_INFINITY else min(wanted, ceiling)
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _become_user(plan: Message, user: int, *capabilities: int) -> None:
    """With these capabilities, which only count in a user namespace of its own."""
    if not plan["clone_flags"]:
        if sys.platform == "linux":
            kernel.drop_bounding_set()
            kernel.set_capabilities()
        return
    if not plan["unprivileged"]:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        # Otherwise /proc/self is root's, and nobody but root may map users.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
    if plan["user_namespace"]:
        kernel.unshare(kernel.CLONE_NEWUSER)
        write_maps(user, user, plan["user_id"], plan["group_id"])
    elif capabilities:
        raise OSError(errno.EPERM, "a template may not run without a user namespace")
    kernel.set_capabilities(*capabilities)


def finish() -> None:
    """What Python does before it ends: wait for threads, run `atexit` functions."""
    import atexit
    import threading

    for step in (getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)):
        if step is not None:
            try:
                step()
            except BaseException:  # noqa: BLE001 -- a stranger's function; the process ends in any case
                traceback.print_exc()


def exit_code(stop: SystemExit) -> int:
    """The status that Python gives a process which ends by `sys.exit(...)`."""
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code & 0xFF
    print(stop.code, file=sys.stderr)
    return 1

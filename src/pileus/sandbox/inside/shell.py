"""A sandbox's own two processes: the supervisor and the runner.

The supervisor is the first process of its namespaces. It makes what needs privileges, forks the runner, gives its
privileges up, reaps, passes signals on, takes everything down when the runner ends, and forks another when told to.
The runner waits for the assignment, moves what it names into place, becomes the unprivileged user and runs it. It is
forked with libc's own `fork`, so that threads, signals and process ids are to it what they are to any program.

Supervisor's socket:  -> {"go": true, "user": n}, {"signal": n, "first": alone?}, {"socket": true},
                         {"restart": number of the run} + runner's socket, {"start": number} + its socket, output pipe
                      <- {"listening": ports} + sockets, {"exit": status or minus the signal, "run": number},
                         {"exit": ..., "program": number}, {"socket": true} + a TCP socket
Runner's socket:      -> the assignment + detached mounts, with "prepare": only these
                      <- {"ready": true}, {"prepared": true}, {"failed": why}, {"not_executed": error number}

Further programs ({"start": number}) are run by runners of their own, and their sockets speak the same way.

Where a program runs ahead of the assignment, the runner becomes that program at once, and a helper waits in its place:
it moves things into place and hands the assignment on.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from types import ModuleType
from typing import NoReturn

from . import kernel
from .bootstrap import HOST, write_maps
from .messages import Message, Receiver, send

# The visible figures of an AWS environment ("Lambda quotas" and what `getrlimit` answers there).
_LIMITS: list[tuple[int, int, int]] = [
    (resource.RLIMIT_CORE, 10737418240, 10737418240),
    (resource.RLIMIT_STACK, 8388608, resource.RLIM_INFINITY),
]
if hasattr(resource, "RLIMIT_MEMLOCK"):
    _LIMITS.append((resource.RLIMIT_MEMLOCK, 65536, 65536))

# What strangers must not find. Named one by one: every object that is looked at costs a clone a page of memory.
_OWN_MODULES = tuple(f"inside{name}" for name in ("", ".bootstrap", ".kernel", ".messages", ".shell", ".template"))


def run(plan: Message, fds: list[int], entry: ModuleType | None) -> NoReturn:
    """Be a sandbox. Called in a fresh clone of the template."""
    code = 70
    try:
        _supervise(plan, fds, entry)
        code = 0
    except BaseException:  # noqa: BLE001 -- whatever it is, this clone must not go on as a second template
        traceback.print_exc()
    finally:
        os._exit(code)


def _supervise(plan: Message, fds: list[int], entry: ModuleType | None) -> None:
    control, runner_socket = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    output = fds[2]
    # Without a process namespace nobody but the supervisor ends the others: it must be told, not killed.
    kernel.die_with_parent(signal.SIGKILL if plan["clone_flags"] else signal.SIGTERM)
    receiver = Receiver(control)
    # The server puts this process into its cgroup before anything of weight happens.
    begin = receiver.receive()
    if begin is None:
        return
    user = begin[0]["user"]
    if plan["clone_flags"]:
        _protect_from_memory_shortage("-1000")
    if len(fds) > 3:
        kernel.setns(fds[3], kernel.CLONE_NEWNET)
        os.close(fds[3])
    if plan["listen"] or plan["listen_datagrams"]:
        own = bool(plan["clone_flags"])
        if own:
            kernel.loopback_up()
        # Without a network namespace the ports are the host's: whichever are free.
        listen, datagrams = ([port if own else 0 for port in plan[name]] for name in ("listen", "listen_datagrams"))
        listeners = kernel.listen_inside(listen, datagrams, own_network=own)
        ports = [each.getsockname()[1] for each in listeners]
        send(control, {"listening": ports}, [each.fileno() for each in listeners])
        for each in listeners:
            each.close()
    if plan["clone_flags"]:
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        kernel.mount("/proc/sys", "/proc/sys", None, kernel.MS_BIND)
        flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY
        kernel.mount(None, "/proc/sys", None, flags | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        kernel.sethostname(plan["host_name"].encode())
        kernel.drop_bounding_set()
    elif sys.platform == "linux":
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    os.setsid()

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def fork_runner(its_socket: socket.socket, output: int, *, ahead: bool = True) -> int:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            kernel.die_with_parent()
            for fd in (wake_read, wake_write):
                os.close(fd)
            control.close()
            _Runner(plan, its_socket, output, entry, user).run(ahead=ahead)
        its_socket.close()
        return pid

    if not plan["clone_flags"]:
        signal.signal(signal.SIGTERM, _stop)
    run, runner = 0, fork_runner(runner_socket, output)
    programs: dict[int, int] = {}
    if plan["clone_flags"]:
        # To stop and end the others, and to make the next runner another user (mapping user 0 needs SETFCAP).
        kernel.set_capabilities(kernel.CAP_KILL, kernel.CAP_SETUID, kernel.CAP_SETGID, kernel.CAP_SETFCAP)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    try:
        while True:
            ready = {fd for fd, _events in poller.poll(0 if receiver.holds_more() else None)}
            if wake_read in ready:
                os.read(wake_read, 4096)
                for pid, code in _reap().items():
                    if pid == runner:
                        if not programs:
                            # What it has started ends with it.
                            _kill_rest(plan)
                        send(control, {"exit": code, "run": run})
                        runner = -1
                    elif pid in programs:
                        send(control, {"exit": code, "program": programs.pop(pid)})
            if control.fileno() in ready or receiver.holds_more():
                received = receiver.receive()
                if received is None:
                    break
                message, sockets = received
                if "signal" in message:
                    if not message.get("first"):
                        _signal_all(plan, message["signal"])
                    elif runner > 0:
                        os.kill(runner, message["signal"])
                elif "socket" in message:
                    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as made:
                        send(control, {"socket": True}, [made.fileno()])
                elif "start" in message:
                    its_output = sockets[1]
                    pid = fork_runner(socket.socket(fileno=sockets[0]), its_output, ahead=False)
                    os.close(its_output)
                    programs[pid] = message["start"]
                elif "restart" in message:
                    _kill_rest(plan)
                    programs.clear()
                    run = message["restart"]
                    runner = fork_runner(socket.socket(fileno=sockets[0]), output)
    finally:
        if not plan["clone_flags"]:
            _kill_rest(plan)
    # Otherwise the kernel ends the rest with this process, the first of its namespace.


def _stop(_number: int, _frame: object) -> NoReturn:
    raise SystemExit


def _protect_from_memory_shortage(score: str) -> None:
    """The kernel chooses by this score whom it kills; only root may lower it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(score)
    except OSError:
        pass


def _kill_rest(plan: Message) -> None:
    """End every process but this one and wait until they are gone."""
    if not plan["clone_flags"]:
        _kill_descendants()
        return
    while True:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _reap() -> dict[int, int]:
    """Collect what has ended: exit codes (negative: signals) by process."""
    found: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found[pid] = os.waitstatus_to_exitcode(status)


def _signal_all(plan: Message, number: int) -> None:
    if plan["clone_flags"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
        return
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


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


class _Runner:
    def __init__(self, plan: Message, control: socket.socket, output: int, entry: ModuleType | None, user: int) -> None:
        self._plan = plan
        self._user = user
        self._control = control
        self._output = output
        self._entry = entry

    def run(self, *, ahead: bool) -> NoReturn:
        """Wait for the assignment and run it; ends the process."""
        code = 70
        try:
            if ahead and self._plan["ahead"]:
                self._run_ahead(self._plan["ahead"])
            received = self._receive()
            if received is not None:
                code = self._run_assigned(*received)
        except SystemExit as stop:
            code = _exit_code(stop)
            _finish()
        except BaseException:  # noqa: BLE001 -- the server must hear of it, whatever it is
            if self._control.fileno() >= 0:
                send(self._control, {"failed": traceback.format_exc()})
            else:
                traceback.print_exc()
                code = 1
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            os._exit(code)

    def _run_assigned(self, assignment: Message, fds: list[int]) -> int:
        plan, isolated = self._plan, bool(self._plan["clone_flags"])
        os.setsid()
        if isolated:
            _protect_from_memory_shortage("0")
            if not assignment["again"]:
                self._mount(assignment, fds)
        null = os.open("/dev/null", os.O_RDWR)
        self._redirect(null)
        os.chdir(assignment["working_directory"])
        self._limit(assignment)
        self._become_user()
        self._confine(assignment.get("landlock"))
        if assignment["argv"]:
            return self._execute(assignment["argv"], assignment["environment"])
        os.environ.clear()
        os.environ.update(assignment["environment"])
        self._control.close()
        os.closerange(3, 1024)
        for name in _OWN_MODULES:
            sys.modules.pop(name, None)
        assert self._entry is not None
        self._entry.enter(plan["config"], assignment["payload"])
        return 0

    def _run_ahead(self, ahead: Message) -> NoReturn:
        """Be the program that waits for its assignment on standard input."""
        reading, writing = os.pipe()
        going_read, going_write = os.pipe()
        gone_read, gone_write = os.pipe()
        helper = os.fork()
        if helper == 0:
            # Its parent shall be the supervisor, who reaps it.
            if os.fork() == 0:
                for each in (reading, going_read, gone_write):
                    os.close(each)
                self._hand_over(writing, going_write, gone_read)
            os._exit(0)
        os.waitpid(helper, 0)
        for each in (writing, going_write, gone_read):
            os.close(each)
        os.setsid()
        _protect_from_memory_shortage("0")
        self._redirect(reading)
        self._limit(ahead)
        self._become_user()
        if kernel.clone(kernel.CLONE_FS | kernel.CLONE_PARENT) == 0:
            # Whoever shares its working directory can change it for a program that runs already.
            self._go(going_read, gone_write, reading)
        self._confine(None)
        os._exit(self._execute(ahead["argv"], ahead["environment"]))

    def _go(self, going: int, gone: int, others: int) -> NoReturn:
        """Change the working directory of the program that runs ahead, once it is known."""
        try:
            os.close(others)
            self._control.close()
            if folder := os.read(going, 65536):
                os.chdir(folder)
                os.write(gone, b"1")
        finally:
            os._exit(0)

    def _hand_over(self, writing: int, going: int, gone: int) -> None:
        """Wait for the assignment in the place of the program that runs ahead."""
        try:
            received = self._receive()
            if received is None:
                return
            assignment, fds = received
            if not assignment["again"]:
                self._mount(assignment, fds)
            os.write(going, assignment["working_directory"].encode())
            if not os.read(gone, 1):
                raise FileNotFoundError(assignment["working_directory"])
            told = {name: assignment[name] for name in ("environment", "working_directory", "payload")}
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(json.dumps(told).encode())
        except BrokenPipeError:
            # The program has ended: the supervisor tells of it.
            return
        except BaseException:  # noqa: BLE001 -- the server must hear of it, whatever it is
            send(self._control, {"failed": traceback.format_exc()})

    def _receive(self) -> tuple[Message, list[int]] | None:
        """The assignment; what is to be prepared ahead of it is."""
        send(self._control, {"ready": True})
        receiver = Receiver(self._control)
        while (received := receiver.receive()) is not None and received[0].get("prepare"):
            if self._plan["clone_flags"]:
                self._mount(*received)
            send(self._control, {"prepared": True})
        return received

    def _redirect(self, standard_input: int) -> None:
        os.dup2(standard_input, 0, inheritable=True)
        os.dup2(self._output, 1)
        os.dup2(self._output, 2)

    def _confine(self, landlock: Message | None) -> None:
        if sys.platform == "linux":
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
            if landlock:
                kernel.landlock(landlock["readable"], landlock["writable"])
            if self._plan["filter"]:
                kernel.install_filter(bytes.fromhex(self._plan["filter"]))

    def _execute(self, argv: list[str], environment: dict[str, str]) -> int:
        """Become another program; the exit code of a shell that could not."""
        for number in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        # The socket tells of a failure; it closes by itself when the program is there.
        os.closerange(3, self._control.fileno())
        os.closerange(self._control.fileno() + 1, 1024)
        try:
            os.execvpe(argv[0], argv, environment)  # noqa: S606 -- that is the assignment
        except OSError as error:
            send(self._control, {"not_executed": error.errno})
            return 127 if isinstance(error, FileNotFoundError) else 126

    def _mount(self, assignment: Message, fds: list[int]) -> None:
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
        owner = f"uid={self._user},gid={self._user}"
        size = assignment["tmp_mb"]
        kernel.mount(
            "tmpfs",
            "/tmp",  # noqa: S108 -- that is the sandbox's own
            "tmpfs",
            kernel.MS_NOSUID | kernel.MS_NODEV,
            f"mode=0700,size={size}m,nr_inodes={size * 256},{owner}",
        )
        for path in self._plan["dropped"]:
            kernel.umount(path)

    def _limit(self, assignment: Message) -> None:
        limits = [*_LIMITS, (resource.RLIMIT_NOFILE, assignment["files"], assignment["files"])]
        limits += [(getattr(resource, name), value, value) for name, value in assignment["rlimits"].items()]
        for kind, soft, wanted in limits:
            hard, ceiling = wanted, resource.getrlimit(kind)[1]
            if ceiling != resource.RLIM_INFINITY and not self._plan["may_raise_limits"]:
                hard = ceiling if wanted == resource.RLIM_INFINITY else min(wanted, ceiling)
            resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    def _become_user(self) -> None:
        plan, user = self._plan, self._user
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
        kernel.set_capabilities()


def _finish() -> None:
    """What Python does before it ends: wait for threads, run `atexit` functions."""
    import atexit
    import threading

    for step in (getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)):
        if step is not None:
            try:
                step()
            except BaseException:  # noqa: BLE001 -- a stranger's function; the process ends in any case
                traceback.print_exc()


def _exit_code(stop: SystemExit) -> int:
    """The status that Python gives a process which ends by `sys.exit(...)`."""
    if stop.code is None:
        return 0
    if isinstance(stop.code, int):
        return stop.code & 0xFF
    print(stop.code, file=sys.stderr)
    return 1

"""The system calls that a sandbox may make, as the filter that the kernel applies to it.

All others fail with ENOSYS, as on a kernel that never heard of them: no socket, no other process, no mount, no memory
that is not counted, no look at another process, no io_uring, no keyring, no tracing.
"""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import Final

ALLOWED: Final = """
access arch_prctl brk chdir clock_getres clock_gettime clock_nanosleep close close_range dup dup2 dup3 execve exit
exit_group faccessat faccessat2 fadvise64 fallocate fcntl fstat fstatfs fsync ftruncate futex getcwd getdents64 getegid
geteuid getgid getgroups getpgrp getpid getppid getrandom getresgid getresuid getrlimit getrusage gettid gettimeofday
getuid ioctl lseek lstat madvise membarrier mkdir mkdirat mmap mprotect mremap munmap nanosleep newfstatat open openat
pipe2 poll ppoll prctl pread64 preadv prlimit64 pselect6 pwrite64 read readlink readlinkat readv rename renameat
renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigtimedwait
sched_getaffinity sched_yield select set_robust_list set_tid_address sigaltstack stat statfs statx sysinfo tgkill time
umask uname unlink unlinkat wait4 waitid write writev
"""
"""By name: the library knows the numbers of each kind of processor, and skips what one of them has not."""

_CLONE_THREAD: Final = 0x00010000


class NoFilter(Exception):
    """The filter cannot be made: the library libseccomp2 is missing."""


@cache
def filter_program() -> bytes:
    """The filter, for ``bwrap --seccomp``.

    Raises:
        NoFilter: the library is not there.
    """
    try:
        import pyseccomp
    except (ImportError, OSError, RuntimeError) as error:
        raise NoFilter from error
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    for name in ALLOWED.split():
        try:
            rules.add_rule(pyseccomp.ALLOW, name)
        except (OSError, ValueError):  # this kind of processor has no such call
            continue
    # A thread of its own is allowed, which decoders want, and a process is not. clone3 hides its flags from a filter:
    # it is refused, and the C library takes clone.
    rules.add_rule(pyseccomp.ALLOW, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD))
    # The library writes to a file only; this one has no name and is never on a disk.
    made = os.memfd_create("filter")
    with os.fdopen(made, "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()

#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>

namespace weir::server {
namespace {

struct ReleaseFilter {
    void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// A sanitizer's runtime calls more, and other things with every version: there, and only there,
// what is not named is allowed. What is denied by name is denied everywhere.
#ifdef WEIR_SANITIZED
constexpr uint32_t kUnnamed = SCMP_ACT_ALLOW;
#else
constexpr uint32_t kUnnamed = SCMP_ACT_ERRNO(ENOSYS);
#endif

using Values = std::initializer_list<scmp_datum_t>;

// An argument of a call, as the kernel compares it: all 64 bits.
constexpr scmp_arg_cmp condition(unsigned argument, scmp_compare how, scmp_datum_t a,
                                 scmp_datum_t b = 0) {
    return {argument, how, a, b};
}

// What a program needs that reads files, computes with threads and answers on a socket that it has.
constexpr auto kAllowed = std::to_array<int>({
    // open files and sockets
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(preadv2),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(lseek),
    SCMP_SYS(_llseek),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(fadvise64),
    SCMP_SYS(readahead),
    // looking at the file system
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    // memory
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(mprotect),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(msync),
    SCMP_SYS(mincore),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(membarrier),
    SCMP_SYS(get_mempolicy),
    // threads of its own, and its end
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(getcpu),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
    // signals that it gets
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(pause),
    // time
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(times),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    // waiting
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(eventfd),
    SCMP_SYS(eventfd2),
    SCMP_SYS(signalfd),
    SCMP_SYS(signalfd4),
    // the socket that it listens on
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    // who and where it is
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getgroups),
    SCMP_SYS(getpgrp),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrlimit),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrandom),
    // one more filter on top of this one
    SCMP_SYS(seccomp),
});

// Refused with EPERM, where an unnamed call would be with ENOSYS, so that whoever reads an error
// knows why; and refused in sanitizer builds too.
constexpr auto kDenied = std::to_array<int>({
    // the network
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    // round every filter
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    // other programs and processes
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(process_madvise),
    SCMP_SYS(process_mrelease),
    SCMP_SYS(setrlimit),
    SCMP_SYS(setpriority),
    SCMP_SYS(ioprio_set),
    SCMP_SYS(sched_setparam),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_setattr),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(migrate_pages),
    SCMP_SYS(move_pages),
    SCMP_SYS(setpgid),
    SCMP_SYS(setsid),
    SCMP_SYS(shmget),
    SCMP_SYS(shmat),
    SCMP_SYS(shmctl),
    SCMP_SYS(semget),
    SCMP_SYS(semctl),
    SCMP_SYS(msgget),
    SCMP_SYS(msgctl),
    SCMP_SYS(mq_open),
    SCMP_SYS(mq_unlink),
    // the file system
    SCMP_SYS(creat),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(fchown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(truncate),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(utime),
    SCMP_SYS(utimes),
    SCMP_SYS(futimesat),
    SCMP_SYS(utimensat),
    SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(removexattr),
    SCMP_SYS(lremovexattr),
    SCMP_SYS(fremovexattr),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(fanotify_init),
    // the machine
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setresuid),
    SCMP_SYS(capset),
});

constexpr uint32_t kDeny = SCMP_ACT_ERRNO(EPERM);

// Adds rules to a filter and remembers whether that went wrong.
//
// Rules of one call that differ in what they do must not overlap: which of them wins is not
// promised. So a condition is always added with its opposite.
class Rules {
  public:
    explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

    template <typename... Conditions>
    void add(uint32_t action, int call, Conditions... conditions) {
        if (action != kUnnamed) {  // libseccomp refuses to be told what it does anyway
            failed_ |=
                seccomp_rule_add(filter_, action, call, sizeof...(conditions), conditions...);
        }
    }

    // `call` with this value of an argument, and no other.
    void allow_only(int call, unsigned argument, scmp_datum_t value) {
        add(SCMP_ACT_ALLOW, call, condition(argument, SCMP_CMP_EQ, value));
        add(kDeny, call, condition(argument, SCMP_CMP_NE, value));
    }

    bool failed() const { return failed_ != 0; }

  private:
    scmp_filter_ctx filter_;
    int failed_ = 0;
};

// Reading what is there is all that a file may be opened for. O_RDONLY is no flag but the absence
// of two, and O_TRUNC and O_CREAT do their work without them.
void allow_reading(Rules& rules, int call, unsigned flags_argument) {
    constexpr scmp_datum_t kChanges = O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
    rules.add(SCMP_ACT_ALLOW, call, condition(flags_argument, SCMP_CMP_MASKED_EQ, kChanges, 0));
    for (scmp_datum_t bit = 1; bit <= kChanges; bit <<= 1) {
        if ((kChanges & bit) != 0) {
            rules.add(kDeny, call, condition(flags_argument, SCMP_CMP_MASKED_EQ, bit, bit));
        }
    }
}

// clone makes threads and nothing else. clone3 hides its flags in memory, where a filter cannot
// look: ENOSYS makes the C library fall back to clone. The same for openat2.
void allow_threads(Rules& rules) {
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(clone),
              condition(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    rules.add(kDeny, SCMP_SYS(clone), condition(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
    rules.add(SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2));
}

// Our own process may be signalled (abort does), and asked for its limits.
void allow_itself(Rules& rules) {
    const auto self = static_cast<scmp_datum_t>(::getpid());
    rules.allow_only(SCMP_SYS(kill), 0, self);
    rules.allow_only(SCMP_SYS(tgkill), 0, self);
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), condition(0, SCMP_CMP_EQ, 0),
              condition(2, SCMP_CMP_EQ, 0));
    rules.add(kDeny, SCMP_SYS(prlimit64), condition(0, SCMP_CMP_NE, 0));
    rules.add(kDeny, SCMP_SYS(prlimit64), condition(0, SCMP_CMP_EQ, 0),
              condition(2, SCMP_CMP_NE, 0));
}

// Calls that are many in one, by what they are asked to do: not F_SETOWN, which sends signals to
// others, nor TIOCSTI, which types into our terminal.
void allow_some_of_many(Rules& rules) {
    for (const scmp_datum_t request : Values{FIONBIO, FIONREAD, TCGETS, TIOCGWINSZ, TIOCOUTQ}) {
        rules.add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), condition(1, SCMP_CMP_EQ, request));
    }
    for (const scmp_datum_t request : Values{TIOCSTI, TIOCLINUX}) {
        rules.add(kDeny, SCMP_SYS(ioctl), condition(1, SCMP_CMP_EQ, request));
    }
    for (const scmp_datum_t command :
         Values{F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD, F_DUPFD_CLOEXEC}) {
        rules.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), condition(1, SCMP_CMP_EQ, command));
    }
    for (const scmp_datum_t command :
         Values{F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY}) {
        rules.add(kDeny, SCMP_SYS(fcntl), condition(1, SCMP_CMP_EQ, command));
    }
    for (const scmp_datum_t option : Values{PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE,
                                            PR_SET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_SET_SECCOMP}) {
        rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), condition(0, SCMP_CMP_EQ, option));
    }
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), condition(0, SCMP_CMP_EQ, PR_SET_DUMPABLE),
              condition(1, SCMP_CMP_EQ, 0));
    rules.add(kDeny, SCMP_SYS(prctl), condition(0, SCMP_CMP_EQ, PR_SET_DUMPABLE),
              condition(1, SCMP_CMP_NE, 0));
    rules.add(kDeny, SCMP_SYS(prctl), condition(0, SCMP_CMP_EQ, PR_SET_PTRACER));
}

}  // namespace

Result<void> enter_sandbox() {
    const Filter filter(seccomp_init(kUnnamed));
    if (filter == nullptr) {
        return fail(ErrorCode::ResourceExhausted, "the sandbox cannot be set up");
    }
    Rules rules(filter.get());
    for (const int call : kAllowed) {
        rules.add(SCMP_ACT_ALLOW, call);
    }
    for (const int call : kDenied) {
        rules.add(kDeny, call);
    }
    allow_reading(rules, SCMP_SYS(open), 1);
    allow_reading(rules, SCMP_SYS(openat), 2);
    allow_threads(rules);
    allow_itself(rules);
    allow_some_of_many(rules);
    if (rules.failed() || seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1) != 0 ||
        seccomp_load(filter.get()) != 0) {
        return fail(ErrorCode::Unavailable,
                    "this kernel refuses the sandbox (seccomp); model files are not read without");
    }
    ::prctl(PR_SET_DUMPABLE, 0);
    return {};
}

}  // namespace weir::server

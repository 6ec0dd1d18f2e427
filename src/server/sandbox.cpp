#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <memory>

namespace weir::server {
namespace {

struct ReleaseFilter {
    void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

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
    SCMP_SYS(setxattr),
    SCMP_SYS(lsetxattr),
    SCMP_SYS(fsetxattr),
    SCMP_SYS(openat2),
    SCMP_SYS(open_by_handle_at),
    // the machine
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
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

// Reading is all that a file may be opened for.
int deny_writing(void* filter, int call, unsigned flags_argument) {
    const int denied = static_cast<int>(SCMP_ACT_ERRNO(EPERM));
    int failed = 0;
    for (const int mode : {O_WRONLY, O_RDWR}) {
        failed |= seccomp_rule_add(filter, static_cast<uint32_t>(denied), call, 1,
                                   SCMP_CMP(flags_argument, SCMP_CMP_MASKED_EQ, O_ACCMODE,
                                            static_cast<scmp_datum_t>(mode)));
    }
    return failed;
}

// clone makes threads and nothing else. clone3 hides its flags in memory, where a filter cannot
// look: ENOSYS makes the C library fall back to clone.
int deny_processes(void* filter) {
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) |
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

}  // namespace

Result<void> enter_sandbox() {
    const Filter filter(seccomp_init(SCMP_ACT_ALLOW));
    if (filter == nullptr) {
        return fail(ErrorCode::ResourceExhausted, "the sandbox cannot be set up");
    }
    int failed = 0;
    for (const int call : kDenied) {
        failed |= seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0);
    }
    failed |= deny_writing(filter.get(), SCMP_SYS(open), 1);
    failed |= deny_writing(filter.get(), SCMP_SYS(openat), 2);
    failed |= deny_processes(filter.get());
    failed |= seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
    if (failed != 0 || seccomp_load(filter.get()) != 0) {
        return fail(ErrorCode::Unavailable,
                    "this kernel refuses the sandbox (seccomp); model files are not read without");
    }
    ::prctl(PR_SET_DUMPABLE, 0);
    return {};
}

}  // namespace weir::server

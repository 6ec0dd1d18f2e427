#pragma once

#include "base/result.h"

namespace weir::server {

// Takes from this process, and every thread and child that it will have, what a reader of hostile
// files has no use for: new sockets and connections, new programs and processes, writing to or
// changing files, other processes' memory, io_uring (which would go round all of that). Such calls
// fail with EPERM from now on. What is open stays open: a worker binds its Unix socket before.
//
// Also marks the process as not dumpable: no core file, no /proc/self/environ for neighbours.
// Errors: Unavailable where the kernel has no seccomp; then nothing may be read.
Result<void> enter_sandbox();

}  // namespace weir::server

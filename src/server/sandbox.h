#pragma once

#include "base/result.h"

namespace weir::server {

// Leaves this process, and every thread that it will have, only what a reader of hostile files has
// a use for: reading files, memory, threads, time, and the files and sockets that are open (a
// worker binds its Unix socket before). New sockets and connections, new programs and processes,
// creating, truncating or changing files, other processes' memory and signals to them, io_uring
// (which would go round all of that) fail with EPERM from now on; whatever else is not on the list,
// with ENOSYS. Builds with a sanitizer deny the former and allow the latter: its runtime needs
// more.
//
// Not here: which files may be read. Everything that the user may read.
//
// Also marks the process as not dumpable: no core file, no /proc/self/environ for neighbours.
// Errors: Unavailable where the kernel has no seccomp; then nothing may be read.
Result<void> enter_sandbox();

}  // namespace weir::server

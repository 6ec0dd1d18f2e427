#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace weir::server {

// A child process that we started: its first line on descriptor 3 says how it is, and it ends when
// its standard input does, so that it never outlives us, even if we are killed.
//
// Threads: callbacks come from one thread of its own, `on_line` at most once and before `on_exit`,
// which comes exactly once. Ownership: the destructor kills the child (SIGKILL) if it still runs
// and waits for it; it must not be called from a callback.
class Subprocess {
  public:
    struct Callbacks {
        std::function<void(std::string line)> on_line;  // without its newline, at most 64 KiB
        std::function<void(int status)> on_exit;        // as waitpid gives it
    };

    // Runs `arguments` (the first is the program's path). Standard error is ours. Of our
    // environment the child gets only what says how to run (PATH, language, time zone, WEIR_CPU, a
    // sanitizer's options): no keys. SIGTERM ends it unless it says otherwise; SIGINT is blocked.
    static Result<std::unique_ptr<Subprocess>> start(const std::vector<std::string>& arguments,
                                                     Callbacks callbacks);
    ~Subprocess();

    pid_t pid() const { return pid_; }
    void signal(int number) const;  // does nothing once the child has ended

  private:
    struct State;
    Subprocess(pid_t pid, UniqueFd input, UniqueFd lines, Callbacks callbacks);

    pid_t pid_;
    UniqueFd input_;
    std::shared_ptr<State> state_;
    std::thread waiter_;
};

// How a child ended, for people: "exit status 1", "signal 9".
std::string describe_exit(int status);

inline constexpr int kLineDescriptor = 3;

}  // namespace weir::server

#pragma once

#include <chrono>
#include <functional>
#include <memory>

namespace weir::net {

using Task = std::move_only_function<void()>;

// A timer of one strand. Threads: only on its strand. After cancel(), or the destructor, the task
// does not run any more, also when its time had already come.
class Timer {
  public:
    virtual ~Timer() = default;
    virtual void start(std::chrono::nanoseconds after, Task task) = 0;  // replaces a running one
    virtual void cancel() = 0;
};

// Runs tasks one after the other, on any thread of its loop: all of a connection runs on one, so
// that its state needs no lock. Threads: any.
class Strand {
  public:
    virtual ~Strand() = default;
    // Runs `task` now if the caller is on this strand, or if it is on a thread of the loop and the
    // strand is free; else as soon as it can.
    virtual void dispatch(Task task) = 0;
    // Runs `task` later, never inside this call.
    virtual void post(Task task) = 0;
    virtual std::unique_ptr<Timer> make_timer() = 0;
};

struct LoopOptions {
    unsigned threads = 1;
};

// The event loop: one for server and clients together, so that an answer that passes through does
// not change threads.
//
// Threads: every member may be called from any thread, but run(), join() and the destructor not
// from a task. Tasks must not block: all connections, /health among them, wait for them (HT10).
// Ownership: servers, clients, strands and timers must go before their loop does.
// Constructing one makes the process ignore SIGPIPE.
class Loop {
  public:
    explicit Loop(LoopOptions options = {});
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();  // stop() and join()

    void start();  // runs on threads of its own
    void run();    // runs on the calling thread as well, until stop()
    void stop();   // tasks that have not begun do not run any more
    void join();   // waits for the threads of start()

    void post(Task task);
    std::shared_ptr<Strand> make_strand();

    struct Impl;
    Impl& impl() { return *impl_; }  // for this room

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::net

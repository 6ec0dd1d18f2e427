#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace weir::kernels {

// A fixed set of threads for the short parallel regions of a forward pass (about a hundred per
// decode step). The calling thread works too: a pool of 2 starts one thread. A worker that has run
// dry spins for a few tens of microseconds, because the next region of the same step follows at
// once, and then sleeps until it is called; an idle pool uses no time.
//
// Threads: parallel_for is called by one thread at a time (the engine's), never from inside a body.
// A body runs on several threads at once. What a body wrote is visible when parallel_for returns.
// Ownership: joins its threads when destroyed.
// Invariant: a body must not throw. Which thread runs which part is not fixed; results that
// depend on it are a bug of the body.
class ThreadPool {
  public:
    // `threads` counts the caller; 0 is taken as 1. Where the system refuses to start that many,
    // the pool has fewer.
    explicit ThreadPool(size_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    size_t threads() const;

    // Calls body(begin, end) for parts of at most `grain` items that together are [0, count), in
    // no fixed order; returns when all are done. A region with a single part runs on the caller.
    template <typename Body>
    void parallel_for(size_t count, size_t grain, Body&& body) {
        using Plain = std::remove_reference_t<Body>;
        const auto call = [](void* target, size_t begin, size_t end) {
            (*static_cast<Plain*>(target))(begin, end);
        };
        run(count, grain, call, const_cast<void*>(static_cast<const void*>(&body)));
    }

    // The same with about four parts a thread.
    template <typename Body>
    void parallel_for(size_t count, Body&& body) {
        const size_t parts = 4 * threads();
        parallel_for(count, (count + parts - 1) / parts, body);
    }

  private:
    struct State;
    using Call = void (*)(void* target, size_t begin, size_t end);
    void run(size_t count, size_t grain, Call call, void* target);

    std::unique_ptr<State> state_;
};

}  // namespace weir::kernels

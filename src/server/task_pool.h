#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace weir::server {

// A few threads for work that would hold up the event loop: reading and inspecting large bodies.
//
// Threads: any. A task may hold the last reference to whatever owns the pool: stop() and the
// destructor may run on one of the pool's own threads, which then ends after its task.
class TaskPool {
  public:
    using Task = std::move_only_function<void()>;

    TaskPool(unsigned thread_count, size_t queue_max);
    TaskPool(const TaskPool&) = delete;
    TaskPool& operator=(const TaskPool&) = delete;
    ~TaskPool();  // stop()

    // False, and the task is dropped, if the queue is full or the pool has stopped.
    [[nodiscard]] bool post(Task task);

    // Drops what has not begun and waits for what has. Not from two threads at once.
    void stop();

  private:
    struct Shared;

    std::shared_ptr<Shared> shared_;
    std::vector<std::thread> threads_;
};

}  // namespace weir::server

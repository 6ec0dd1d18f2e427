#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace weir::server {

// A few threads for work that would hold up the event loop: reading and inspecting large bodies.
//
// Threads: any. The destructor drops what has not begun, and joins.
class TaskPool {
  public:
    using Task = std::move_only_function<void()>;

    TaskPool(unsigned thread_count, size_t queue_max);
    TaskPool(const TaskPool&) = delete;
    TaskPool& operator=(const TaskPool&) = delete;
    ~TaskPool();

    // False, and the task is dropped, if the queue is full.
    [[nodiscard]] bool post(Task task);

  private:
    void work();

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;  // guarded by mutex_
    bool stopping_ = false;   // guarded by mutex_
    size_t queue_max_;
    std::vector<std::thread> threads_;
};

}  // namespace weir::server

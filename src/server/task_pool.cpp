#include "server/task_pool.h"

#include <exception>

#include "base/log.h"

namespace weir::server {

TaskPool::TaskPool(unsigned thread_count, size_t queue_max) : queue_max_(queue_max) {
    for (unsigned i = 0; i < thread_count; ++i) {
        threads_.emplace_back([this] { work(); });
    }
}

TaskPool::~TaskPool() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

bool TaskPool::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || tasks_.size() >= queue_max_) {
            return false;
        }
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
    return true;
}

void TaskPool::work() {
    while (true) {
        Task task;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
            if (stopping_) {
                return;
            }
            task = std::move(tasks_.front());
            tasks_.pop_front();
        }
        try {
            task();
        } catch (const std::exception& error) {
            log(LogLevel::Error, "a task failed: {}", error.what());
        }
    }
}

}  // namespace weir::server

#include "server/task_pool.h"

#include <deque>
#include <exception>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"

namespace weir::server {

// What the threads use. They keep it, because one of them may outlive the pool.
struct TaskPool::Shared {
    explicit Shared(size_t most) : queue_max(most) {}

    void work();

    const size_t queue_max;
    Mutex mutex;
    Condition wake;
    std::deque<Task> tasks WEIR_GUARDED_BY(mutex);
    bool stopping WEIR_GUARDED_BY(mutex) = false;
};

TaskPool::TaskPool(unsigned thread_count, size_t queue_max)
    : shared_(std::make_shared<Shared>(queue_max)) {
    for (unsigned i = 0; i < thread_count; ++i) {
        threads_.emplace_back([shared = shared_] { shared->work(); });
    }
}

TaskPool::~TaskPool() {
    stop();
}

void TaskPool::stop() {
    std::deque<Task> dropped;  // destroyed last, and not under the lock: who knows what they hold
    {
        const MutexLock lock(shared_->mutex);
        shared_->stopping = true;
        dropped.swap(shared_->tasks);
    }
    shared_->wake.notify_all();
    for (std::thread& thread : std::exchange(threads_, {})) {
        if (thread.get_id() == std::this_thread::get_id()) {
            thread.detach();  // a thread cannot wait for itself
        } else {
            thread.join();
        }
    }
}

bool TaskPool::post(Task task) {
    {
        const MutexLock lock(shared_->mutex);
        if (shared_->stopping || shared_->tasks.size() >= shared_->queue_max) {
            return false;
        }
        shared_->tasks.push_back(std::move(task));
    }
    shared_->wake.notify_one();
    return true;
}

void TaskPool::Shared::work() {
    while (true) {
        Task task;
        {
            const MutexLock lock(mutex);
            while (!stopping && tasks.empty()) {
                wake.wait(mutex);
            }
            if (stopping) {
                return;
            }
            task = std::move(tasks.front());
            tasks.pop_front();
        }
        try {
            task();
        } catch (const std::exception& error) {
            log(LogLevel::Error, "a task failed: {}", error.what());
        }
    }
}

}  // namespace weir::server

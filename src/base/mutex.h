#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

// Locks that clang can check (-Wthread-safety, run by tools/lint): what is declared with
// WEIR_GUARDED_BY can be touched only where the lock is seen to be held. For other compilers the
// words mean nothing.
#if defined(__clang__)
#define WEIR_THREAD_SAFETY(attribute) __attribute__((attribute))
#else
#define WEIR_THREAD_SAFETY(attribute)
#endif
#define WEIR_GUARDED_BY(mutex) WEIR_THREAD_SAFETY(guarded_by(mutex))
#define WEIR_REQUIRES(mutex) WEIR_THREAD_SAFETY(requires_capability(mutex))
#define WEIR_EXCLUDES(mutex) WEIR_THREAD_SAFETY(locks_excluded(mutex))

namespace weir {

class WEIR_THREAD_SAFETY(capability("mutex")) Mutex {
  public:
    void lock() WEIR_THREAD_SAFETY(acquire_capability()) { mutex_.lock(); }
    void unlock() WEIR_THREAD_SAFETY(release_capability()) { mutex_.unlock(); }

  private:
    std::mutex mutex_;
};

// Holds a mutex for as long as it lives.
class WEIR_THREAD_SAFETY(scoped_lockable) MutexLock {
  public:
    explicit MutexLock(Mutex& mutex) WEIR_THREAD_SAFETY(acquire_capability(mutex)) : mutex_(mutex) {
        mutex_.lock();
    }
    ~MutexLock() WEIR_THREAD_SAFETY(release_capability()) { mutex_.unlock(); }
    MutexLock(const MutexLock&) = delete;
    MutexLock& operator=(const MutexLock&) = delete;

  private:
    Mutex& mutex_;
};

// Waits, and is woken, while a Mutex is held. Wakes up for no reason at times: wait in a loop over
// the condition, which then stands where clang sees that the mutex is held.
class Condition {
  public:
    void wait(Mutex& mutex) WEIR_REQUIRES(mutex) { any_.wait(mutex); }
    template <typename Rep, typename Period>
    void wait_for(Mutex& mutex, std::chrono::duration<Rep, Period> longest) WEIR_REQUIRES(mutex) {
        any_.wait_for(mutex, longest);
    }
    void notify_one() { any_.notify_one(); }
    void notify_all() { any_.notify_all(); }

  private:
    std::condition_variable_any any_;
};

}  // namespace weir

#include "kernels/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "base/log.h"

namespace weir::kernels {

namespace {

// How often a dry worker looks for the next region before it sleeps: with a pause of 40 to 140
// cycles, 30 to 100 microseconds; longer than what lies between two regions of a step, shorter
// than what lies between two requests.
constexpr int kSpins = 2000;

void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    std::this_thread::yield();
#endif
}

}  // namespace

// One region is open at a time. Its state is one word: a serial number, whether workers may still
// join, and how many have joined and not yet left. Workers join by compare-and-swap, so a worker
// that sleeps or was preempted before it joined is never waited for: the caller closes the region
// when no parts are left and waits only for those inside. The fields of the region are written
// while it is closed and empty, and read after joining it.
struct ThreadPool::State {
    static constexpr uint64_t kMemberMask = 0xffff;
    static constexpr uint64_t kOpen = 0x10000;
    static constexpr uint64_t kSerialStep = 0x20000;

    alignas(64) std::atomic<uint64_t> word{0};
    alignas(64) std::atomic<size_t> next{0};
    alignas(64) std::atomic<uint32_t> calls{0};  // what sleepers wait for a change of
    std::atomic<bool> stopping{false};

    size_t count = 0;
    size_t grain = 1;
    Call call = nullptr;
    void* target = nullptr;

    size_t threads = 1;
    int spins = 0;
    std::vector<std::jthread> workers;

    void work() {
        for (;;) {
            const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
            if (begin >= count) {
                return;
            }
            call(target, begin, std::min(count, begin + grain));
        }
    }

    // Joins the open region, unless it is the one with the serial number `done`.
    bool try_join(uint64_t& done) {
        uint64_t seen = word.load(std::memory_order_acquire);
        while ((seen & kOpen) != 0 && seen / kSerialStep != done) {
            if (word.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) {
                done = seen / kSerialStep;
                return true;
            }
        }
        return false;
    }

    void worker_loop() {
        uint64_t done = 0;
        while (!stopping.load(std::memory_order_acquire)) {
            const uint32_t calls_seen = calls.load(std::memory_order_acquire);
            bool joined = try_join(done);
            for (int spin = 0; !joined && spin < spins; ++spin) {
                pause_briefly();
                joined = try_join(done);
            }
            if (joined) {
                work();
                word.fetch_sub(1, std::memory_order_acq_rel);
            } else if (!stopping.load(std::memory_order_acquire)) {
                calls.wait(calls_seen, std::memory_order_acquire);
            }
        }
    }
};

ThreadPool::ThreadPool(size_t threads) : state_(std::make_unique<State>()) {
    State& state = *state_;
    state.threads = std::max<size_t>(threads, 1);
    // Spinning for a core that another thread of ours needs would only delay that thread.
    state.spins = state.threads <= std::thread::hardware_concurrency() ? kSpins : 0;
    for (size_t i = 1; i < state.threads; ++i) {
        try {
            state.workers.emplace_back([&state] { state.worker_loop(); });
        } catch (const std::system_error& refused) {  // the system's limit: fewer give the same
            log(LogLevel::Warning, "only {} of {} threads: {}", i, state.threads, refused.what());
            state.threads = i;
        }
    }
}

ThreadPool::~ThreadPool() {
    state_->stopping.store(true, std::memory_order_release);
    state_->calls.fetch_add(1, std::memory_order_acq_rel);
    state_->calls.notify_all();
    state_->workers.clear();  // joins
}

size_t ThreadPool::threads() const {
    return state_->threads;
}

void ThreadPool::run(size_t count, size_t grain, Call call, void* target) {
    State& state = *state_;
    grain = std::max<size_t>(grain, 1);
    if (count == 0) {
        return;
    }
    if (count <= grain || state.threads == 1) {
        call(target, 0, count);
        return;
    }
    state.count = count;
    state.grain = grain;
    state.call = call;
    state.target = target;
    state.next.store(0, std::memory_order_relaxed);
    const uint64_t serial = state.word.load(std::memory_order_relaxed) / State::kSerialStep + 1;
    state.word.store(serial * State::kSerialStep | State::kOpen, std::memory_order_release);
    state.calls.fetch_add(1, std::memory_order_acq_rel);
    state.calls.notify_all();

    state.work();

    state.word.fetch_and(~State::kOpen, std::memory_order_acq_rel);
    for (int spin = 0; (state.word.load(std::memory_order_acquire) & State::kMemberMask) != 0;
         ++spin) {
        if (spin < state.spins) {
            pause_briefly();
        } else {
            std::this_thread::yield();
        }
    }
}

}  // namespace weir::kernels

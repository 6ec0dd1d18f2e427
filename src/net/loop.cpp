#include "net/loop.h"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <exception>

#include "base/check.h"
#include "base/log.h"
#include "net/loop_impl.h"

namespace weir::net {
namespace {

using SteadyTimer =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Executor>;

// Asio's cancel() comes too late for a wait that has already completed and is queued: the
// generation tells the task of such a wait that it is no longer wanted.
class AsioTimer final : public Timer {
  public:
    explicit AsioTimer(const Executor& executor) : state_(std::make_shared<State>(executor)) {}
    ~AsioTimer() override { cancel(); }

    void start(std::chrono::nanoseconds after, Task task) override {
        state_->task = std::move(task);
        const uint64_t generation = ++state_->generation;
        state_->timer.expires_after(after);
        state_->timer.async_wait([state = state_, generation](const boost::system::error_code&) {
            if (state->generation == generation && state->task) {
                Task due = std::exchange(state->task, nullptr);
                due();
            }
        });
    }

    void cancel() override {
        ++state_->generation;
        if (state_->task) {
            state_->task = nullptr;
            state_->timer.cancel();
        }
    }

  private:
    struct State {
        explicit State(const Executor& executor) : timer(executor) {}
        SteadyTimer timer;
        Task task;
        uint64_t generation = 0;
    };
    std::shared_ptr<State> state_;
};

// A task that throws is a bug or a lack of memory; either way the other connections go on.
void run_until_stopped(asio::io_context& context) {
    while (true) {
        try {
            context.run();
            return;
        } catch (const std::exception& error) {
            log(LogLevel::Error, "a task of the event loop threw: {}", error.what());
        }
    }
}

}  // namespace

void AsioStrand::dispatch(Task task) {
    asio::dispatch(executor, std::move(task));
}

void AsioStrand::post(Task task) {
    asio::post(executor, std::move(task));
}

std::unique_ptr<Timer> AsioStrand::make_timer() {
    return std::make_unique<AsioTimer>(executor);
}

Loop::Loop(LoopOptions options) : impl_(std::make_unique<Impl>(options)) {
    WEIR_ASSERT(options.threads >= 1);
    // Asio's sockets never raise it; a library below us might.
    std::signal(SIGPIPE, SIG_IGN);
}

Loop::~Loop() {
    stop();
    join();
}

void Loop::start() {
    const MutexLock lock(impl_->mutex);
    while (impl_->threads.size() < impl_->options.threads) {
        impl_->threads.emplace_back([this] { run(); });
    }
}

void Loop::run() {
    run_until_stopped(impl_->context);
}

void Loop::stop() {
    impl_->context.stop();
}

void Loop::join() {
    std::vector<std::thread> threads;
    {
        const MutexLock lock(impl_->mutex);
        threads.swap(impl_->threads);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

void Loop::post(Task task) {
    asio::post(impl_->context, std::move(task));
}

std::shared_ptr<Strand> Loop::make_strand() {
    return std::make_shared<AsioStrand>(impl_->context);
}

}  // namespace weir::net

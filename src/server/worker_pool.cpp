// One file, long because it is one machine of states on one strand: every transition reads or sets
// what the others rely on.

#include "server/worker_pool.h"

#include <signal.h>

#include <algorithm>
#include <deque>

#include "base/check.h"
#include "base/log.h"
#include "net/http_client.h"
#include "server/subprocess.h"
#include "server/worker_command.h"

namespace weir::server {
namespace {

constexpr uint32_t kFruitlessDeathsMax = 3;
constexpr std::chrono::seconds kPenalty{10};

struct Waiter {
    std::optional<uint64_t> died_generation;
    WorkerPool::Acquired acquired;
};

struct Worker {
    WorkerSpec spec;
    WorkerState state = WorkerState::Stopped;
    std::unique_ptr<Subprocess> process;
    std::string socket;
    std::string failure;  // what the process said before it ended
    uint64_t generation = 0;
    uint64_t memory_bytes = 0;
    uint64_t in_flight = 0;
    uint64_t starts = 0;
    uint64_t deaths = 0;
    uint32_t fruitless_deaths = 0;  // in a row
    Clock::TimePoint last_used{};
    Clock::TimePoint blocked_until{};
    uint32_t silent_probes = 0;  // in a row
    std::deque<Waiter> waiting;
    std::unique_ptr<net::Timer> timer;         // start_max, stop_max or idle_unload, by state
    std::unique_ptr<net::Timer> notice_timer;  // death_notice_max, while Ready and waited for
    std::unique_ptr<net::Timer> probe_timer;   // while Ready and busy
};

// Whether a worker answered GET /health at all: the thread that answers never computes.
class ProbeSink final : public net::HttpSink {
  public:
    explicit ProbeSink(std::function<void(bool answered)> done) : done_(std::move(done)) {}

    void on_head(net::HttpResponseHead head) override { good_ = head.status == 200; }
    void on_body(std::string_view) override {}
    void on_end() override { done_(good_); }
    void on_failure(net::HttpFailure) override { done_(false); }

  private:
    std::function<void(bool answered)> done_;
    bool good_ = false;
};

}  // namespace

std::string_view name(WorkerState state) {
    switch (state) {
        case WorkerState::Stopped:
            return "stopped";
        case WorkerState::Planning:
            return "planning";
        case WorkerState::Waiting:
            return "waiting";
        case WorkerState::Starting:
            return "starting";
        case WorkerState::Ready:
            return "ready";
        case WorkerState::Stopping:
            return "stopping";
    }
    WEIR_ASSERT(false);
}

WorkerLease::~WorkerLease() {
    if (give_back_ != nullptr) {
        (*give_back_)(succeeded_);
    }
}

void WorkerLease::succeeded() {
    succeeded_ = true;
}

// All members are used on the strand only.
struct WorkerPool::Impl : std::enable_shared_from_this<WorkerPool::Impl> {
    Impl(net::Loop& loop, WorkerPoolOptions given, std::vector<WorkerSpec> specs,
         const Clock& its_clock)
        : strand(loop.make_strand()), options(std::move(given)), clock(its_clock), client(loop) {
        for (WorkerSpec& spec : specs) {
            Worker& worker = workers.emplace_back();
            worker.spec = std::move(spec);
            worker.timer = strand->make_timer();
            worker.notice_timer = strand->make_timer();
            worker.probe_timer = strand->make_timer();
        }
    }

    void acquire(size_t index, Waiter waiter);
    void start(size_t index);
    void plan(size_t index);
    void on_planned(size_t index, uint64_t generation, Result<uint64_t> bytes);
    Result<bool> make_room(size_t index);
    void run_those_that_wait();
    void run(size_t index);
    void on_ready(size_t index, uint64_t generation, Result<uint64_t> line);
    void on_exit(size_t index, uint64_t generation, int status);
    void note_death(Worker& worker, int status);
    void fail_waiting(Worker& worker, const Error& error);
    void serve_waiting(size_t index);
    void hand_out(size_t index, Acquired acquired);
    void give_back(size_t index, uint64_t generation, bool succeeded);
    void end(size_t index);
    void arm_idle_timer(size_t index);
    void arm_probe_timer(size_t index);
    void probe(size_t index);
    void on_probed(size_t index, uint64_t generation, bool answered);
    Result<std::unique_ptr<Subprocess>> spawn(size_t index, std::vector<std::string> arguments);

    std::shared_ptr<net::Strand> strand;
    WorkerPoolOptions options;
    const Clock& clock;
    net::HttpClient client;  // for probes
    std::vector<Worker> workers;
    std::vector<std::unique_ptr<Subprocess>> ended;  // to be joined outside of their callbacks
    bool stopping = false;
    net::Task stopped;
};

void WorkerPool::Impl::acquire(size_t index, Waiter waiter) {
    Worker& worker = workers[index];
    if (stopping) {
        waiter.acquired(fail(ErrorCode::Unavailable, "the server is shutting down"));
        return;
    }
    const bool was_said_dead =
        waiter.died_generation.has_value() && *waiter.died_generation == worker.generation;
    if (worker.state == WorkerState::Ready && !was_said_dead) {
        hand_out(index, std::move(waiter.acquired));
        return;
    }
    if (clock.now() < worker.blocked_until) {
        Error error =
            make_error(ErrorCode::Unavailable, "the worker of {} keeps dying{}{}", worker.spec.name,
                       worker.failure.empty() ? "" : ": ", worker.failure);
        error.retry_after = std::chrono::duration_cast<std::chrono::milliseconds>(
            worker.blocked_until - clock.now());
        waiter.acquired(std::unexpected(std::move(error)));
        return;
    }
    if (worker.waiting.size() >= options.waiting_max) {
        waiter.acquired(fail(ErrorCode::Overloaded, "too many requests wait for {} to start",
                             worker.spec.name));
        return;
    }
    worker.waiting.push_back(std::move(waiter));
    if (worker.state == WorkerState::Stopped) {
        start(index);
    } else if (worker.state == WorkerState::Ready && worker.waiting.size() == 1) {
        // Its end has not been noticed yet.
        worker.notice_timer->start(options.death_notice_max, [this, index] {
            if (workers[index].state == WorkerState::Ready) {
                fail_waiting(workers[index],
                             make_error(ErrorCode::Unavailable, "the worker of {} broke off",
                                        workers[index].spec.name));
            }
        });
    }
}

void WorkerPool::Impl::start(size_t index) {
    ++workers[index].generation;
    workers[index].failure.clear();
    plan(index);
}

Result<std::unique_ptr<Subprocess>> WorkerPool::Impl::spawn(size_t index,
                                                            std::vector<std::string> arguments) {
    const uint64_t generation = workers[index].generation;
    const bool planning = workers[index].state == WorkerState::Planning;
    const std::weak_ptr<Impl> weak = weak_from_this();
    const auto post = [weak, on = strand](auto task) {
        on->post([weak, task = std::move(task)]() mutable {
            if (const auto self = weak.lock()) {
                task(*self);
            }
        });
    };
    return Subprocess::start(
        arguments,
        {.on_line =
             [post, index, generation, planning](const std::string& line) {
                 post([index, generation, planning, parsed = parse_worker_line(line)](Impl& self) {
                     planning ? self.on_planned(index, generation, parsed)
                              : self.on_ready(index, generation, parsed);
                 });
             },
         .on_exit =
             [post, index, generation](int status) {
                 post([index, generation, status](Impl& self) {
                     self.on_exit(index, generation, status);
                 });
             }});
}

// Asks a process of its own how much memory the model needs: the gateway never reads model files.
void WorkerPool::Impl::plan(size_t index) {
    Worker& worker = workers[index];
    worker.state = WorkerState::Planning;
    std::vector<std::string> arguments = {options.program, "worker", "--plan"};
    arguments.insert(arguments.end(), worker.spec.arguments.begin(), worker.spec.arguments.end());
    auto process = spawn(index, std::move(arguments));
    if (!process) {
        worker.state = WorkerState::Stopped;
        fail_waiting(worker, process.error());
        return;
    }
    worker.process = *std::move(process);
    worker.timer->start(options.start_max, [this, index] { end(index); });
}

void WorkerPool::Impl::on_planned(size_t index, uint64_t generation, Result<uint64_t> bytes) {
    Worker& worker = workers[index];
    if (worker.generation != generation || worker.state != WorkerState::Planning) {
        return;
    }
    if (!bytes) {
        worker.failure = bytes.error().message;
        return;  // it is about to end
    }
    worker.memory_bytes = *bytes;
}

// Has idle workers end, least recently used first, until `index` fits. False: it will fit as soon
// as they are gone.
Result<bool> WorkerPool::Impl::make_room(size_t index) {
    const auto held_in = [&](std::initializer_list<WorkerState> states) {
        uint64_t sum = 0;
        for (size_t i = 0; i < workers.size(); ++i) {
            const bool holds =
                std::find(states.begin(), states.end(), workers[i].state) != states.end();
            sum += i != index && holds ? workers[i].memory_bytes : 0;
        }
        return sum;
    };
    const uint64_t wanted = workers[index].memory_bytes;
    if (wanted > options.memory_budget_bytes) {
        return fail(ErrorCode::ResourceExhausted, "{} needs {} MiB, the memory budget is {} MiB",
                    workers[index].spec.name, wanted >> 20, options.memory_budget_bytes >> 20);
    }
    const uint64_t left_to_others = options.memory_budget_bytes - wanted;
    while (held_in({WorkerState::Starting, WorkerState::Ready}) > left_to_others) {
        size_t oldest = workers.size();
        for (size_t i = 0; i < workers.size(); ++i) {
            const bool idle =
                i != index && workers[i].state == WorkerState::Ready && workers[i].in_flight == 0;
            if (idle &&
                (oldest == workers.size() || workers[i].last_used < workers[oldest].last_used)) {
                oldest = i;
            }
        }
        if (oldest == workers.size()) {
            return fail(ErrorCode::Overloaded,
                        "the other models are busy and leave no memory for {}",
                        workers[index].spec.name);
        }
        end(oldest);
    }
    return held_in({WorkerState::Starting, WorkerState::Ready, WorkerState::Stopping}) <=
           left_to_others;
}

void WorkerPool::Impl::run(size_t index) {
    Worker& worker = workers[index];
    const Result<bool> has_room = make_room(index);
    if (!has_room) {
        worker.state = WorkerState::Stopped;
        fail_waiting(worker, has_room.error());
        return;
    }
    if (!*has_room) {
        worker.state = WorkerState::Waiting;
        return;
    }
    worker.state = WorkerState::Starting;
    worker.socket =
        fmt::format("{}/worker-{}-{}.sock", options.socket_dir, index, worker.generation);
    std::vector<std::string> arguments = {options.program, "worker", "--socket", worker.socket};
    arguments.insert(arguments.end(), worker.spec.arguments.begin(), worker.spec.arguments.end());
    arguments.insert(arguments.end(), {"--name", worker.spec.name});
    auto process = spawn(index, std::move(arguments));
    if (!process) {
        worker.state = WorkerState::Stopped;
        fail_waiting(worker, process.error());
        return;
    }
    worker.process = *std::move(process);
    ++worker.starts;
    worker.timer->start(options.start_max, [this, index] { end(index); });
}

void WorkerPool::Impl::run_those_that_wait() {
    for (size_t i = 0; i < workers.size(); ++i) {
        if (workers[i].state == WorkerState::Waiting) {
            run(i);
        }
    }
}

void WorkerPool::Impl::on_ready(size_t index, uint64_t generation, Result<uint64_t> line) {
    Worker& worker = workers[index];
    if (worker.generation != generation || worker.state != WorkerState::Starting) {
        return;
    }
    if (!line) {
        worker.failure = line.error().message;
        return;  // it is about to end
    }
    worker.state = WorkerState::Ready;
    worker.last_used = clock.now();
    log(LogLevel::Info, "{} is loaded (process {})", worker.spec.name, worker.process->pid());
    serve_waiting(index);
    arm_idle_timer(index);
}

void WorkerPool::Impl::on_exit(size_t index, uint64_t generation, int status) {
    Worker& worker = workers[index];
    if (worker.generation != generation || worker.process == nullptr) {
        return;
    }
    ended.clear();  // earlier ones: their threads have long returned
    ended.push_back(std::move(worker.process));
    worker.timer->cancel();
    worker.notice_timer->cancel();
    worker.probe_timer->cancel();
    worker.in_flight = 0;
    const WorkerState was = worker.state;
    worker.state = WorkerState::Stopped;
    if (stopping) {
        fail_waiting(worker, make_error(ErrorCode::Unavailable, "the server is shutting down"));
        const bool all_gone = std::all_of(workers.begin(), workers.end(), [](const Worker& other) {
            return other.process == nullptr;
        });
        if (all_gone && stopped) {
            std::exchange(stopped, nullptr)();
        }
        return;
    }
    if (was == WorkerState::Planning && status == 0 && worker.failure.empty()) {
        run(index);
        return;
    }
    if (was != WorkerState::Stopping) {
        note_death(worker, status);
    }
    run_those_that_wait();  // it may have left them room
    if (worker.waiting.empty()) {
        return;
    }
    if (was == WorkerState::Ready || was == WorkerState::Stopping) {
        start(index);  // those who wait have not had their chance yet
    } else {
        fail_waiting(worker,
                     make_error(ErrorCode::Unavailable, "{} cannot be loaded: {}", worker.spec.name,
                                worker.failure.empty() ? describe_exit(status) : worker.failure));
    }
}

void WorkerPool::Impl::note_death(Worker& worker, int status) {
    ++worker.deaths;
    log(LogLevel::Error, "the worker of {} ended: {}{}{}", worker.spec.name, describe_exit(status),
        worker.failure.empty() ? "" : ": ", worker.failure);
    if (++worker.fruitless_deaths >= kFruitlessDeathsMax) {
        worker.blocked_until = clock.now() + kPenalty;
        worker.fruitless_deaths = 0;
    }
}

void WorkerPool::Impl::fail_waiting(Worker& worker, const Error& error) {
    for (Waiter& waiter : std::exchange(worker.waiting, {})) {
        waiter.acquired(std::unexpected(error));
    }
}

void WorkerPool::Impl::serve_waiting(size_t index) {
    for (Waiter& waiter : std::exchange(workers[index].waiting, {})) {
        hand_out(index, std::move(waiter.acquired));
    }
}

void WorkerPool::Impl::hand_out(size_t index, Acquired acquired) {
    Worker& worker = workers[index];
    if (++worker.in_flight == 1) {
        worker.timer->cancel();  // it is not idle
        worker.silent_probes = 0;
        arm_probe_timer(index);
    }
    const auto give_back = [weak = weak_from_this(), on = strand, index,
                            generation = worker.generation](bool succeeded) {
        on->post([weak, index, generation, succeeded] {
            if (const auto self = weak.lock()) {
                self->give_back(index, generation, succeeded);
            }
        });
    };
    acquired(WorkerLease(give_back, worker.socket, worker.generation));
}

void WorkerPool::Impl::give_back(size_t index, uint64_t generation, bool succeeded) {
    Worker& worker = workers[index];
    worker.fruitless_deaths = succeeded ? 0 : worker.fruitless_deaths;
    if (worker.generation != generation || worker.in_flight == 0) {
        return;
    }
    --worker.in_flight;
    worker.last_used = clock.now();
    arm_idle_timer(index);
}

// Asks a worker to end, and insists after stop_max.
void WorkerPool::Impl::end(size_t index) {
    Worker& worker = workers[index];
    if (worker.process == nullptr) {
        return;
    }
    if (worker.state == WorkerState::Ready) {
        worker.state = WorkerState::Stopping;
    } else if (worker.failure.empty()) {
        worker.failure = "it took too long";
    }
    worker.process->signal(SIGTERM);
    worker.timer->start(options.stop_max, [this, index] {
        if (workers[index].process != nullptr) {
            workers[index].process->signal(SIGKILL);
        }
    });
}

void WorkerPool::Impl::arm_idle_timer(size_t index) {
    Worker& worker = workers[index];
    if (worker.state != WorkerState::Ready || worker.in_flight > 0) {
        return;
    }
    worker.timer->cancel();
    if (options.idle_unload.count() > 0) {
        worker.timer->start(options.idle_unload, [this, index] {
            if (workers[index].state == WorkerState::Ready && workers[index].in_flight == 0) {
                log(LogLevel::Info, "{} is unloaded: nobody asked for it",
                    workers[index].spec.name);
                end(index);
            }
        });
    }
}

// A worker that hangs (a stopped process, a dead disk under its mapping) keeps its connections open
// and says nothing, which is also what one does that reads a long prompt. What tells them apart is
// that the latter still answers /health.
void WorkerPool::Impl::arm_probe_timer(size_t index) {
    workers[index].probe_timer->start(options.probe_every, [this, index] { probe(index); });
}

void WorkerPool::Impl::probe(size_t index) {
    const Worker& worker = workers[index];
    if (worker.state != WorkerState::Ready || worker.in_flight == 0) {
        return;
    }
    net::HttpClientRequest request{.method = "GET", .target = "/health"};
    request.limits.total_max = options.probe_every;
    client.send_unix(worker.socket, std::move(request),
                     std::make_shared<ProbeSink>([weak = weak_from_this(), on = strand, index,
                                                  generation = worker.generation](bool answered) {
                         on->post([weak, index, generation, answered] {
                             if (const auto self = weak.lock()) {
                                 self->on_probed(index, generation, answered);
                             }
                         });
                     }));
    arm_probe_timer(index);
}

void WorkerPool::Impl::on_probed(size_t index, uint64_t generation, bool answered) {
    Worker& worker = workers[index];
    if (worker.generation != generation || worker.state != WorkerState::Ready) {
        return;
    }
    worker.silent_probes = answered ? 0 : worker.silent_probes + 1;
    if (worker.silent_probes >= options.silent_probes_max) {
        worker.failure = "it hung";
        worker.process->signal(SIGKILL);
    }
}

WorkerPool::WorkerPool(net::Loop& loop, WorkerPoolOptions options, std::vector<WorkerSpec> specs,
                       const Clock& clock)
    : impl_(std::make_shared<Impl>(loop, std::move(options), std::move(specs), clock)) {}

WorkerPool::~WorkerPool() = default;

void WorkerPool::acquire(size_t index, std::optional<uint64_t> died_generation, Acquired acquired) {
    impl_->strand->dispatch(
        [impl = impl_, index, died_generation, acquired = std::move(acquired)]() mutable {
            impl->acquire(index, Waiter{died_generation, std::move(acquired)});
        });
}

void WorkerPool::status(std::function<void(std::vector<WorkerStatus>)> ready) {
    impl_->strand->dispatch([impl = impl_, ready = std::move(ready)] {
        std::vector<WorkerStatus> all;
        for (const Worker& worker : impl->workers) {
            const bool is_ready = worker.state == WorkerState::Ready;
            all.push_back({.name = worker.spec.name,
                           .state = worker.state,
                           .pid = worker.process == nullptr
                                      ? std::nullopt
                                      : std::optional<int>(worker.process->pid()),
                           .memory_bytes = worker.memory_bytes,
                           .in_flight = worker.in_flight,
                           .starts = worker.starts,
                           .deaths = worker.deaths,
                           .socket = is_ready ? worker.socket : std::string()});
        }
        ready(std::move(all));
    });
}

void WorkerPool::stop(net::Task done) {
    impl_->strand->dispatch([impl = impl_, done = std::move(done)]() mutable {
        impl->stopping = true;
        impl->stopped = std::move(done);
        bool any = false;
        for (size_t i = 0; i < impl->workers.size(); ++i) {
            any = any || impl->workers[i].process != nullptr;
            impl->end(i);
            if (impl->workers[i].process == nullptr) {
                impl->fail_waiting(impl->workers[i], make_error(ErrorCode::Unavailable,
                                                                "the server is shutting down"));
            }
        }
        if (!any) {
            std::exchange(impl->stopped, nullptr)();
        }
    });
}

}  // namespace weir::server

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/loop.h"

namespace weir::server {

// Waiting: for the memory of others that are about to end.
enum class WorkerState : uint8_t { Stopped, Planning, Waiting, Starting, Ready, Stopping };

std::string_view name(WorkerState state);

// One local model, and how to run its worker.
struct WorkerSpec {
    std::string name;
    std::vector<std::string> arguments;  // after "weir worker": --model …, --threads …
};

struct WorkerPoolOptions {
    std::string program;     // the path of this very program
    std::string socket_dir;  // mode 0700
    uint64_t memory_budget_bytes = 0;
    std::chrono::milliseconds idle_unload{0};  // 0: never
    std::chrono::milliseconds start_max{120'000};
    std::chrono::milliseconds stop_max{30'000};  // from SIGTERM to SIGKILL
    size_t waiting_max = 4096;                   // requests that wait for one worker to start
    // How long somebody whose connection broke off waits for the worker's end to show.
    std::chrono::milliseconds death_notice_max{2'000};
    // While it has requests, a worker is asked so often whether it lives, and gets as long to
    // answer; after so many silences in a row it counts as hung and is killed.
    std::chrono::milliseconds probe_every{4'000};
    uint32_t silent_probes_max = 5;
};

struct WorkerStatus {
    std::string name;
    WorkerState state = WorkerState::Stopped;
    std::optional<int> pid;
    uint64_t memory_bytes = 0;  // as planned; 0 while unknown
    uint64_t in_flight = 0;
    uint64_t starts = 0;
    uint64_t deaths = 0;  // not asked for
    std::string socket;   // set while Ready
};

// Leave to send requests to a running worker. It is not unloaded while a lease is held.
//
// Threads: any. A lease that outlives its pool does nothing.
class WorkerLease {
  public:
    WorkerLease(WorkerLease&&) noexcept = default;
    WorkerLease& operator=(WorkerLease&&) noexcept = default;
    ~WorkerLease();

    const std::string& socket() const { return socket_; }
    // Which run of the worker this is; a restarted one has another.
    uint64_t generation() const { return generation_; }
    // A request was answered to its end: the worker is good for something.
    void succeeded();

  private:
    friend class WorkerPool;
    WorkerLease(std::function<void(bool)> give_back, std::string socket, uint64_t generation)
        : give_back_(std::make_unique<std::function<void(bool)>>(std::move(give_back))),
          socket_(std::move(socket)),
          generation_(generation) {}

    std::unique_ptr<std::function<void(bool)>> give_back_;
    std::string socket_;
    uint64_t generation_;
    bool succeeded_ = false;
};

// Runs one worker process per local model: starts it when it is first asked for, restarts it when
// it dies, kills it when it hangs, unloads it when idle, keeps all of them within the memory budget
// by unloading the least recently used idle one. A worker that dies again and again without having
// answered anything is left alone for a while.
//
// Threads: any; its state lives on one strand. Ownership: owns the processes; the destructor ends
// them.
class WorkerPool {
  public:
    using Acquired = std::move_only_function<void(Result<WorkerLease>)>;

    WorkerPool(net::Loop& loop, WorkerPoolOptions options, std::vector<WorkerSpec> specs,
               const Clock& clock = system_clock());
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool();

    // Calls back, on the strand, with a lease on worker `index` once it is ready. With
    // `died_generation`, the caller has just seen that run fail: waits until it is gone (or answers
    // Unavailable if it turns out to be alive).
    void acquire(size_t index, std::optional<uint64_t> died_generation, Acquired acquired);

    // Calls back on the strand.
    void status(std::function<void(std::vector<WorkerStatus>)> ready);

    // Asks every worker to end (they drain), then calls back; nothing starts any more.
    void stop(net::Task done);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace weir::server

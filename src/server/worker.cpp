#include "server/worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "base/file.h"
#include "engine/local_backend.h"
#include "engine/local_model.h"
#include "json/write.h"
#include "net/http_server.h"
#include "server/sandbox.h"
#include "server/subprocess.h"
#include "server/worker_handler.h"

namespace weir::server {
namespace {

constexpr std::chrono::seconds kDrainMax{25};

void say(std::string_view json) {
    const std::string line = std::string(json) + "\n";
    for (size_t sent = 0; sent < line.size();) {
        const ssize_t count = ::write(kLineDescriptor, line.data() + sent, line.size() - sent);
        if (count <= 0) {
            return;  // nobody listens
        }
        sent += static_cast<size_t>(count);
    }
}

Result<void> say_error(Error error) {
    std::string line;
    json::Writer(line).begin_object().member("error", error.message).end_object();
    say(line);
    return std::unexpected(std::move(error));
}

engine::LocalModelOptions model_options(const WorkerOptions& options) {
    return {.context_tokens = options.context_tokens,
            .cache_tokens = options.cache_tokens,
            .cache_bits = options.cache_bits,
            .threads = options.threads};
}

Result<model::ModelSource::Pointer> open_model(const WorkerOptions& options) {
    return options.model_path.empty() ? model::ModelSource::from_bytes(options.embedded)
                                      : model::ModelSource::open(options.model_path);
}

// Forwards requests to a backend that is only there once the model is loaded; until then nobody has
// been told that this worker is ready.
class LateBackend final : public chat::ChatBackend {
  public:
    void set(chat::ChatBackend& backend) { backend_.store(&backend); }
    void start(std::shared_ptr<const chat::ChatRequest> request,
               std::shared_ptr<chat::ChatSink> sink, std::stop_token cancel) override {
        chat::ChatBackend* backend = backend_.load();
        if (backend == nullptr) {
            sink->on_event(make_error(ErrorCode::Unavailable, "the model is not loaded yet"));
            return;
        }
        backend->start(std::move(request), std::move(sink), std::move(cancel));
    }

  private:
    std::atomic<chat::ChatBackend*> backend_ = nullptr;
};

// Watches for this process's end, also while a large model loads, which takes long. Standard input
// ends with the gateway, and then nobody waits any more: the process ends at once. SIGTERM, which
// every thread has blocked, does the same until model_is_ready(), and then lets wait() return.
class EndWatch {
  public:
    EndWatch() : stopped_(::eventfd(0, EFD_CLOEXEC)), thread_([this] { watch(); }) {}
    EndWatch(const EndWatch&) = delete;
    EndWatch& operator=(const EndWatch&) = delete;
    ~EndWatch() {
        ::eventfd_write(stopped_.get(), 1);
        thread_.join();
    }

    void model_is_ready() { ready_ = true; }
    void wait() { terminated_.get_future().wait(); }

  private:
    void watch() {
        sigset_t signals;
        ::sigemptyset(&signals);
        ::sigaddset(&signals, SIGTERM);
        const UniqueFd terminated(::signalfd(-1, &signals, SFD_CLOEXEC));
        std::array<pollfd, 3> watched = {{{.fd = STDIN_FILENO, .events = POLLIN},
                                          {.fd = terminated.get(), .events = POLLIN},
                                          {.fd = stopped_.get(), .events = POLLIN}}};
        while (true) {
            if (::poll(watched.data(), watched.size(), -1) < 0) {
                continue;  // interrupted
            }
            if (watched[2].revents != 0) {
                return;
            }
            if (watched[1].revents != 0) {
                if (!ready_) {
                    ::_exit(0);
                }
                watched[1].fd = -1;  // once is enough; standard input still matters
                terminated_.set_value();
            }
            std::array<char, 64> buffer{};
            if (watched[0].revents != 0 &&
                ::read(STDIN_FILENO, buffer.data(), buffer.size()) <= 0) {
                ::_exit(0);
            }
        }
    }

    UniqueFd stopped_;
    std::atomic<bool> ready_ = false;
    std::promise<void> terminated_;
    std::thread thread_;  // last: it uses the rest
};

Result<void> serve_model(const WorkerOptions& options, net::HttpServer& http, LateBackend& late,
                         metrics::Registry& registry) {
    EndWatch end;
    WEIR_TRY(enter_sandbox());
    WEIR_TRY_ASSIGN(auto source, open_model(options));
    WEIR_TRY_ASSIGN(auto local, engine::LocalModel::load(std::move(source), model_options(options),
                                                         system_clock(), registry));
    late.set(local->backend());
    local->run();
    end.model_is_ready();
    say(R"({"ready":true})");
    end.wait();
    std::promise<void> drained;
    http.drain(kDrainMax, [&] { drained.set_value(); });
    drained.get_future().wait();
    ::_exit(0);  // everything has been answered; what is left is memory
}

}  // namespace

Result<void> plan_worker(const WorkerOptions& options) {
    const auto total = [&]() -> Result<uint64_t> {
        WEIR_TRY(enter_sandbox());
        WEIR_TRY_ASSIGN(const auto source, open_model(options));
        WEIR_TRY_ASSIGN(const engine::LocalModelPlan plan,
                        engine::LocalModel::plan(*source, model_options(options)));
        if (options.reads_texts) {
            WEIR_TRY(engine::LocalModel::check_texts(*source));
        }
        return plan.total_bytes();
    }();
    if (!total) {
        return say_error(total.error());
    }
    std::string line;
    json::Writer(line).begin_object().member("memory_bytes", *total).end_object();
    say(line);
    return {};
}

Result<void> run_worker(const WorkerOptions& options) {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    metrics::Registry registry({{"model_name", options.name}});
    LateBackend late;
    net::Loop loop;
    net::HttpServer http(loop, net::HttpServerLimits{},
                         std::make_shared<WorkerHandler>(late, registry, options.name));
    const Result<void> listening = http.listen_unix(options.socket);
    if (!listening) {
        return say_error(listening.error());
    }
    loop.start();
    Result<void> served = serve_model(options, http, late, registry);
    return served ? served : say_error(std::move(served).error());
}

}  // namespace weir::server

#include "server/serve.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "json/write.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "server/gateway_handler.h"
#include "server/remote_backend.h"
#include "server/worker_backend.h"
#include "server/worker_command.h"
#include "server/worker_metrics.h"
#include "server/worker_pool.h"

namespace weir::server {
namespace {

bool is_loopback(std::string_view address) {
    return address.starts_with("127.") || address == "::1";
}

uint64_t machine_memory_bytes() {
    return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
           static_cast<uint64_t>(::sysconf(_SC_PAGE_SIZE));
}

// The folder, private to its owner, and locked against a second gateway.
Result<UniqueFd> lock_home(const std::filesystem::path& home) {
    std::error_code error;
    std::filesystem::create_directories(home, error);
    if (error || ::chmod(home.c_str(), 0700) != 0) {
        return fail(ErrorCode::PermissionDenied, "cannot use {} as home", home.string());
    }
    UniqueFd lock(::open((home / "serve.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.is_open() || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(ErrorCode::Conflict, "another weir serve is running on {} (weir stop ends it)",
                    home.string());
    }
    return lock;
}

// Empty, and private to its owner.
Result<std::filesystem::path> make_socket_folder(const std::filesystem::path& home) {
    std::filesystem::path folder = home / "workers";
    std::error_code error;
    std::filesystem::remove_all(folder, error);
    if (!error) {
        std::filesystem::create_directories(folder, error);
    }
    if (error || ::chmod(folder.c_str(), 0700) != 0) {
        return fail(ErrorCode::PermissionDenied, "cannot use {} for the workers' sockets",
                    folder.string());
    }
    return folder;
}

Result<Secret> api_key_of(const BackendConfig& backend) {
    const auto& variable = std::get<RemoteSource>(backend.source).api_key_env;
    if (variable.empty()) {
        return Secret();
    }
    const char* key = std::getenv(variable.c_str());
    if (key == nullptr || *key == '\0') {
        return invalid_argument("api_key_env",
                                "backend {} wants its key in the environment variable {}, which is "
                                "not set",
                                backend.name, variable);
    }
    return Secret(key);
}

std::string workers_json(const std::vector<WorkerStatus>& workers) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().key("workers").begin_array();
    for (const WorkerStatus& worker : workers) {
        writer.begin_object()
            .member("name", worker.name)
            .member("state", name(worker.state))
            .member("memory_bytes", worker.memory_bytes)
            .member("in_flight", worker.in_flight)
            .member("starts", worker.starts)
            .member("deaths", worker.deaths)
            .key("pid");
        worker.pid ? writer.value(*worker.pid) : writer.null();
        writer.end_object();
    }
    writer.end_array().end_object();
    return out;
}

// Everything that runs, in the order in which it has to be taken down again.
class Server {
  public:
    explicit Server(ServeOptions options) : options_(std::move(options)) {}

    Result<void> start();
    void wait_for_signal();
    void shut_down();

  private:
    Result<void> make_backends();
    Result<void> listen();
    ServerActions actions();
    void make_gateway(std::unique_ptr<ledger::Ledger> ledger);

    ServeOptions options_;
    UniqueFd lock_;
    net::Loop loop_;
    std::unique_ptr<net::HttpClient> client_;
    std::unique_ptr<WorkerPool> workers_;
    std::shared_ptr<Gateway> gateway_;
    std::unique_ptr<net::HttpServer> http_;
    std::atomic<bool> ready_ = false;
};

void Server::make_gateway(std::unique_ptr<ledger::Ledger> ledger) {
    const Config& config = options_.config;
    const Clock& clock = system_clock();
    gateway_ = std::shared_ptr<Gateway>(new Gateway{
        .config = config,
        .clock = clock,
        .loop = loop_,
        .strand = loop_.make_strand(),
        .inspector = policy::Inspector({.scan_deadline = config.scan_deadline}, clock),
        .keys = ledger::KeyRing(config.keys),
        .ledger = std::move(ledger),
        .backends = {},
        .routes = {},
        .retries = {},
        .metrics = {},
        .pool = {2, 256},
        .started = std::chrono::duration_cast<std::chrono::seconds>(clock.wall().time_since_epoch())
                       .count()});
    for (const RouteConfig& route : config.routes) {
        gateway_->routes.emplace(route.model, &route);
    }
}

Result<void> Server::make_backends() {
    const Config& config = options_.config;
    std::vector<WorkerSpec> specs;
    for (const BackendConfig& backend : config.backends) {
        if (const auto* source = std::get_if<ModelSource>(&backend.source)) {
            specs.push_back({.name = backend.name, .arguments = worker_arguments(*source)});
        }
    }
    WEIR_TRY_ASSIGN(const std::filesystem::path sockets, make_socket_folder(options_.home));
    workers_ = std::make_unique<WorkerPool>(
        loop_,
        WorkerPoolOptions{.program = options_.program.string(),
                          .socket_dir = sockets.string(),
                          .memory_budget_bytes =
                              config.memory_budget_bytes.value_or(machine_memory_bytes() / 5 * 4),
                          .idle_unload = config.idle_unload},
        std::move(specs));
    client_ = std::make_unique<net::HttpClient>(loop_);

    size_t worker = 0;
    for (const BackendConfig& backend : config.backends) {
        std::unique_ptr<chat::ChatBackend> chat;
        if (backend.is_local()) {
            chat = std::make_unique<WorkerBackend>(*workers_, worker++, *client_, system_clock());
        } else {
            WEIR_TRY_ASSIGN(Secret key, api_key_of(backend));
            auto remote =
                std::make_unique<RemoteBackend>(backend, std::move(key), *client_, system_clock());
            WEIR_TRY(remote->prepare());
            chat = std::move(remote);
        }
        gateway_->backends.push_back({backend, std::move(chat), router::Breaker(system_clock())});
    }
    return {};
}

ServerActions Server::actions() {
    return {.collect_metrics =
                [this](std::function<void(std::string)> done) {
                    collect_metrics(*gateway_, *workers_, *client_, std::move(done));
                },
            .list_workers =
                [this](std::function<void(std::string)> done) {
                    workers_->status(
                        [done = std::move(done)](const auto& all) { done(workers_json(all)); });
                },
            .is_ready = [this] { return ready_.load(); },
            .stop =
                [] {
                    ::kill(::getpid(), SIGTERM);
                }};
}

Result<void> Server::listen() {
    const Config& config = options_.config;
    http_ = std::make_unique<net::HttpServer>(
        loop_, net::HttpServerLimits{}, std::make_shared<GatewayHandler>(gateway_, actions()));
    WEIR_TRY(http_->listen_unix(admin_socket(options_.home).string()));
    auto port = config.tls_key_file.empty()
                    ? http_->listen_tcp(config.listen_address, config.listen_port)
                    : http_->listen_tls(config.listen_address, config.listen_port,
                                        {.certificate_chain_file = config.tls_certificate_file,
                                         .private_key_file = config.tls_key_file});
    if (!port) {
        return std::unexpected(std::move(port).error().with_context(config.listen_address));
    }
    loop_.start();
    ready_ = true;
    options_.on_ready(config.listen_address, *port);
    return {};
}

Result<void> Server::start() {
    const Config& config = options_.config;
    if (!is_loopback(config.listen_address) && config.keys.empty()) {
        return invalid_argument("server.listen",
                                "listening on {} needs at least one [[key]]: everybody who reaches "
                                "it could ask",
                                config.listen_address);
    }
    WEIR_TRY_ASSIGN(lock_, lock_home(options_.home));
    WEIR_TRY_ASSIGN(auto database, store::open_sqlite(options_.home / "weir.db"));
    WEIR_TRY_ASSIGN(auto ledger, ledger::Ledger::open(std::move(database)));
    make_gateway(std::move(ledger));
    WEIR_TRY(make_backends());
    return listen();
}

void Server::wait_for_signal() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    int received = 0;
    ::sigwait(&signals, &received);
    log(LogLevel::Info, "signal {}: draining", received);
    ready_ = false;
    // The next signal is taken as impatience.
    ::signal(SIGTERM, SIG_DFL);
    ::signal(SIGINT, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

void Server::shut_down() {
    std::promise<void> drained;
    http_->drain(options_.config.drain_max, [&] { drained.set_value(); });
    drained.get_future().wait();
    gateway_->pool.stop();  // a client that left may have left a large body behind
    std::promise<void> stopped;
    workers_->stop([&] { stopped.set_value(); });
    stopped.get_future().wait();
    loop_.stop();
    loop_.join();
    http_.reset();
    gateway_->ledger.reset();  // writes what is queued
    gateway_.reset();
    client_.reset();
    workers_.reset();
}

}  // namespace

std::filesystem::path default_home() {
    if (const char* home = std::getenv("WEIR_HOME"); home != nullptr && *home != '\0') {
        return home;
    }
    const char* user = std::getenv("HOME");
    return std::filesystem::path(user == nullptr ? "/var/lib" : user) / ".local/share/weir";
}

std::filesystem::path admin_socket(const std::filesystem::path& home) {
    return home / "admin.sock";
}

Result<void> serve(ServeOptions options) {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::sigaddset(&signals, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    Server server(std::move(options));
    WEIR_TRY(server.start());
    server.wait_for_signal();
    server.shut_down();
    return {};
}

}  // namespace weir::server

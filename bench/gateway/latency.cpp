// What the gateway adds to the time of a remote answer, and what it takes to be there at all.
//
//   bench_gateway --weir PATH [--requests N] [--rounds N] [--starts N] [--prompt-bytes N]
//
// One client asks the same question of one fake upstream, directly and through `weir serve`: one
// kept-alive connection each, not streamed, no TLS. The two take turns, and who begins alternates,
// because the machine drifts. Also measured: from exec to /ready answering 200, and VmRSS of the
// gateway's process before its first request and after its last.
//
// Upstream and client are threads with blocking sockets that do nothing but read one message and
// write another, so their own part of the time is small and the same on both sides.
//
// What goes wrong ends the program, with the gateway's log named; it has nothing to clean up but a
// temporary folder, which then is of use. The child dies with its parent.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace weir::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

// Issue 3's targets.
constexpr double kAddedMedianMax = 300;  // microseconds
constexpr double kReadyMax = 1000;       // milliseconds
constexpr double kIdleMax = 30;          // MiB

constexpr std::string_view kAnswerText = "The weir holds the river and lets over what you choose.";

struct Options {
    std::string weir;
    size_t requests = 2000;  // of a turn
    size_t rounds = 5;
    size_t starts = 5;
    size_t prompt_bytes = 1000;
};

[[noreturn]] void fail(std::string_view what) {
    fmt::print(stderr, "bench_gateway: {}\n", what);
    std::exit(2);
}

class Socket {
  public:
    explicit Socket(int fd) : fd_(fd) {
        if (fd_ < 0) {
            fail(fmt::format("no socket: {}", std::strerror(errno)));
        }
    }
    Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Socket& operator=(Socket&&) = delete;
    ~Socket() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    int fd() const { return fd_; }

    void without_delay() const {
        const int on = 1;
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    bool write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count <= 0) {
                return false;
            }
            bytes.remove_prefix(static_cast<size_t>(count));
        }
        return true;
    }

    // Appends what has come. False: nothing will come any more.
    bool read(std::string& into) const {
        char buffer[16384];
        const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
        if (count <= 0) {
            return false;
        }
        into.append(buffer, static_cast<size_t>(count));
        return true;
    }

  private:
    int fd_;
};

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

Socket connect_to(uint16_t port) {
    Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        fail(fmt::format("cannot connect to port {}: {}", port, std::strerror(errno)));
    }
    socket.without_delay();
    return socket;
}

// The length of the HTTP message that `bytes` begin with, or 0 while its head is incomplete. Both
// sides here send Content-Length; a message without one has no body.
size_t message_length(std::string_view bytes) {
    const size_t head = bytes.find("\r\n\r\n");
    if (head == std::string_view::npos) {
        return 0;
    }
    constexpr std::string_view kName = "\r\ncontent-length:";
    const auto same = [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b;
    };
    const auto found = std::search(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(head),
                                   kName.begin(), kName.end(), same);
    size_t body = 0;
    const char* number = bytes.data() + (found - bytes.begin());
    if (number != bytes.data() + head) {
        number += kName.size();
        number += *number == ' ' ? 1 : 0;
        std::from_chars(number, bytes.data() + head, body);
    }
    return head + 4 + body;
}

// One whole message into `bytes`, which it replaces. False: the other side has closed.
bool read_message(const Socket& socket, std::string& bytes) {
    bytes.clear();
    for (;;) {
        const size_t length = message_length(bytes);
        if (length > 0 && bytes.size() >= length) {
            return true;
        }
        if (!socket.read(bytes)) {
            return false;
        }
    }
}

std::string upstream_reply() {
    const std::string body = fmt::format(
        R"({{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"fake-1","choices":)"
        R"([{{"index":0,"message":{{"role":"assistant","content":"{}"}},"logprobs":null,)"
        R"("finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":12,)"
        R"("total_tokens":21}}}})",
        kAnswerText);
    return fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
}

// Answers every request on every connection with the same bytes, a thread a connection. Its threads
// end with the program.
class Upstream {
  public:
    Upstream() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        auto* const plain = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_.fd(), plain, size) != 0 || ::listen(listener_.fd(), 64) != 0 ||
            ::getsockname(listener_.fd(), plain, &size) != 0) {
            fail("the upstream cannot listen");
        }
        port_ = ntohs(address.sin_port);
        std::thread([listener = listener_.fd()] { accept(listener); }).detach();
    }
    uint16_t port() const { return port_; }

  private:
    static void accept(int listener) {
        for (;;) {
            const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) {
                return;
            }
            std::thread([connection = Socket(fd)] {
                connection.without_delay();
                const std::string reply = upstream_reply();
                std::string request;
                while (read_message(connection, request) && connection.write(reply)) {
                }
            }).detach();
        }
    }

    Socket listener_;
    uint16_t port_ = 0;
};

std::string config_for(uint16_t upstream) {
    return fmt::format(
        "[[backend]]\nname = \"rented\"\nkind = \"openai\"\nmodel = \"fake-1\"\n"
        "base_url = \"http://127.0.0.1:{}/v1\"\nclearance = \"restricted\"\n"
        "price = {{ input = \"2.50\", output = \"10.00\" }}\n\n"
        "[[route]]\nmodel = \"assistant\"\nbackends = [\"rented\"]\n",
        upstream);
}

// `weir serve` in a folder of its own.
class Gateway {
  public:
    Gateway(const Options& options, const std::filesystem::path& home, uint16_t upstream)
        : log_(home / "log") {
        const std::filesystem::path config = home / "bench.toml";
        std::ofstream(config) << config_for(upstream);
        int pipe[2];
        if (::pipe(pipe) != 0) {
            fail("no pipe");
        }
        const auto begun = Clock::now();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(pipe[1], STDOUT_FILENO);
            ::close(pipe[0]);
            ::close(pipe[1]);
            ::setenv("WEIR_HOME", home.c_str(), 1);
            if (std::freopen(log_.c_str(), "w", stderr) != nullptr) {
                ::execl(options.weir.c_str(), "weir", "serve", "--config", config.c_str(),
                        "--listen", "127.0.0.1:0", nullptr);
            }
            ::_exit(127);
        }
        ::close(pipe[1]);
        port_ = read_port(pipe[0]);
        ::close(pipe[0]);
        wait_until_ready();
        ready_ms_ = Microseconds(Clock::now() - begun).count() / 1000;
    }
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;
    ~Gateway() {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }

    uint16_t port() const { return port_; }
    double ready_ms() const { return ready_ms_; }

    double resident_megabytes() const {
        std::ifstream status(fmt::format("/proc/{}/status", pid_));
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with("VmRSS:")) {
                return std::strtod(line.c_str() + 6, nullptr) / 1024;
            }
        }
        fail("the gateway is gone; see " + log_.string());
    }

  private:
    uint16_t read_port(int pipe) const {
        constexpr std::string_view kBefore = "http://127.0.0.1:";
        std::string greeting;
        char buffer[4096];
        for (ssize_t count; (count = ::read(pipe, buffer, sizeof buffer)) > 0;) {
            greeting.append(buffer, static_cast<size_t>(count));
            const size_t found = greeting.find(kBefore);
            if (found != std::string::npos && greeting.find('\n', found) != std::string::npos) {
                return static_cast<uint16_t>(
                    std::strtoul(greeting.c_str() + found + kBefore.size(), nullptr, 10));
            }
        }
        fail("weir serve did not start; see " + log_.string());
    }

    void wait_until_ready() const {
        const std::string request =
            "GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        for (;;) {
            const Socket socket = connect_to(port_);
            std::string reply;
            if (socket.write(request) && read_message(socket, reply) &&
                reply.starts_with("HTTP/1.1 200")) {
                return;
            }
        }
    }

    std::filesystem::path log_;
    pid_t pid_ = 0;
    uint16_t port_ = 0;
    double ready_ms_ = 0;
};

double at_fraction(const std::vector<double>& sorted, double fraction) {
    const auto index = static_cast<size_t>(fraction * static_cast<double>(sorted.size()));
    return sorted[std::min(index, sorted.size() - 1)];
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return at_fraction(values, 0.5);
}

struct Latency {
    double p50 = 0;
    double p99 = 0;
};

// One client on one kept-alive connection.
class Client {
  public:
    Client(uint16_t port, size_t prompt_bytes) : socket_(connect_to(port)) {
        std::string prompt;
        while (prompt.size() < prompt_bytes) {
            prompt += "Why does a river run faster where it is narrow, and what slows it down? ";
        }
        prompt.resize(prompt_bytes);
        const std::string body =
            fmt::format(R"({{"model":"assistant","messages":[{{"role":"user","content":"{}"}}],)"
                        R"("temperature":0.7,"max_tokens":64}})",
                        prompt);
        request_ = fmt::format(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n"
            "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            port, body.size(), body);
    }

    Latency ask(size_t count) {
        std::vector<double> times;
        times.reserve(count);
        std::string reply;
        for (size_t i = 0; i < count; ++i) {
            const auto begun = Clock::now();
            if (!socket_.write(request_) || !read_message(socket_, reply)) {
                fail("the connection was closed");
            }
            times.push_back(Microseconds(Clock::now() - begun).count());
            if (!reply.starts_with("HTTP/1.1 200") || !reply.contains(kAnswerText)) {
                fail("not the answer that was expected:\n" + reply);
            }
        }
        std::sort(times.begin(), times.end());
        return {at_fraction(times, 0.5), at_fraction(times, 0.99)};
    }

  private:
    Socket socket_;
    std::string request_;
};

std::string cpu() {
    std::ifstream info("/proc/cpuinfo");
    std::string found;
    for (std::string line; std::getline(info, line) && !line.empty();) {
        for (const std::string_view name : {"model name", "cpu family", "model\t"}) {
            if (line.starts_with(name)) {
                std::replace(line.begin(), line.end(), '\t', ' ');
                found += (found.empty() ? "" : ", ") + line;
            }
        }
    }
    return found;
}

bool judge(std::string_view what, double value, double limit, std::string_view unit) {
    const bool met = value <= limit;
    fmt::print("- {}: {:.1f} {} (target: at most {}): {}\n", what, value, unit, limit,
               met ? "met" : "MISSED");
    return met;
}

// One round a row; the added median of all rounds.
double compare(const Options& options, uint16_t upstream, uint16_t gateway) {
    Client direct(upstream, options.prompt_bytes);
    Client through(gateway, options.prompt_bytes);
    direct.ask(200);
    through.ask(200);
    std::vector<double> added_p50;
    std::vector<double> added_p99;
    fmt::print(
        "| round | direct p50 | direct p99 | weir p50 | weir p99 | added p50 | added p99 |\n"
        "|---|---|---|---|---|---|---|\n");
    for (size_t round = 0; round < options.rounds; ++round) {
        Latency first = (round % 2 == 0 ? direct : through).ask(options.requests);
        Latency second = (round % 2 == 0 ? through : direct).ask(options.requests);
        if (round % 2 != 0) {
            std::swap(first, second);
        }
        added_p50.push_back(second.p50 - first.p50);
        added_p99.push_back(second.p99 - first.p99);
        fmt::print("| {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} | {:.0f} |\n", round + 1,
                   first.p50, first.p99, second.p50, second.p99, added_p50.back(),
                   added_p99.back());
    }
    fmt::print("| median | | | | | {:.0f} | {:.0f} |\n\n", median(added_p50), median(added_p99));
    return median(added_p50);
}

int measure(const Options& options) {
    std::string folder = (std::filesystem::temp_directory_path() / "weir-bench-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) {
        fail("no temporary folder");
    }
    fmt::print("CPU: {}\n\n", cpu());
    fmt::print(
        "One client, kept alive, not streamed, no TLS; prompt of {} bytes, {} requests a "
        "turn; microseconds.\n\n",
        options.prompt_bytes, options.requests);
    const Upstream upstream;
    std::vector<double> ready;
    for (size_t i = 1; i < options.starts; ++i) {
        ready.push_back(Gateway(options, folder, upstream.port()).ready_ms());
    }
    bool met = true;
    {
        const Gateway gateway(options, folder, upstream.port());
        ready.push_back(gateway.ready_ms());
        std::this_thread::sleep_for(std::chrono::seconds(1));
        const double idle = gateway.resident_megabytes();
        met &= judge("added by the gateway, p50", compare(options, upstream.port(), gateway.port()),
                     kAddedMedianMax, "us");
        met &= judge("from exec to /ready, median", median(ready), kReadyMax, "ms");
        fmt::print("  every start, ms:");
        for (const double milliseconds : ready) {
            fmt::print(" {:.1f}", milliseconds);
        }
        fmt::print("\n");
        met &= judge("VmRSS before the first request", idle, kIdleMax, "MiB");
        std::this_thread::sleep_for(std::chrono::seconds(1));
        met &= judge("VmRSS after the last request", gateway.resident_megabytes(), kIdleMax, "MiB");
    }
    std::filesystem::remove_all(folder);
    return met ? 0 : 1;
}

size_t number(std::string_view name, std::string_view text) {
    size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value == 0) {
        fail(fmt::format("{} wants a number above 0", name));
    }
    return value;
}

Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string_view value = argv[i + 1];
        if (name == "--weir") {
            options.weir = value;
        } else if (name == "--requests") {
            options.requests = number(name, value);
        } else if (name == "--rounds") {
            options.rounds = number(name, value);
        } else if (name == "--starts") {
            options.starts = number(name, value);
        } else if (name == "--prompt-bytes") {
            options.prompt_bytes = number(name, value);
        } else {
            fail(fmt::format("no option {}", name));
        }
    }
    if (options.weir.empty() || argc % 2 == 0) {
        fail(
            "usage: bench_gateway --weir PATH [--requests N] [--rounds N] [--starts N] "
            "[--prompt-bytes N]");
    }
    return options;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
    return weir::bench::measure(weir::bench::parse(argc, argv));
}

#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/file.h"
#include "net/http_client.h"
#include "net/http_server.h"

// What the tests of this room stand on: peers that speak raw bytes, certificates, recorders.
// Plain blocking sockets, so that a fault is exactly the bytes in the test.

namespace weir::policy {
// The program's Gate lives in policy, above net. This one permits whatever a test asks for.
class Gate {
  public:
    static net::OutboundPermit permit(std::string origin) {
        return net::OutboundPermit(std::move(origin));
    }
};
}  // namespace weir::policy

namespace weir::net::test {

inline constexpr std::chrono::seconds kPatience{20};  // then a test fails instead of hanging

// A folder that goes away with this object.
class TempFolder {
  public:
    TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    ~TempFolder();
    std::string path(std::string_view name) const { return (folder_ / name).string(); }

  private:
    std::filesystem::path folder_;
};

// One end of a connection, in blocking calls with a bound on each wait.
class RawPeer {
  public:
    explicit RawPeer(UniqueFd fd) : fd_(std::move(fd)) {}
    static RawPeer connect_tcp(uint16_t port);
    static RawPeer connect_unix(const std::string& path);

    void send(std::string_view bytes) const;
    bool try_send(std::string_view bytes) const;          // false if the other end is gone
    std::string read_some() const;                        // what has come; empty at the end
    std::string read_to_end() const;                      // until the other end closes or resets
    std::string read_until(std::string_view mark) const;  // or the end
    std::string read_request() const;  // head and, by Content-Length, body; empty at the end
    void half_close() const;
    void close() { fd_ = UniqueFd(); }
    void reset();
    void shrink_receive_buffer() const;
    int fd() const { return fd_.get(); }

  private:
    UniqueFd fd_;
    mutable std::string kept_;
};

// A server whose every connection runs `script` on a thread of its own.
class ScriptedServer {
  public:
    explicit ScriptedServer(std::function<void(RawPeer&)> script);
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;
    ~ScriptedServer();

    uint16_t port() const { return port_; }
    TcpPeer peer() const;
    int connections() const;

  private:
    void accept_all();

    std::function<void(RawPeer&)> script_;
    UniqueFd listening_;
    uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::jthread> threads_;
    bool stopping_ = false;
    std::jthread acceptor_;
};

// A flag that another thread raises.
class Signal {
  public:
    void raise();
    bool wait();  // false if it did not come

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool raised_ = false;
};

// Keeps all of one answer.
class RecordingSink final : public HttpSink {
  public:
    void on_head(HttpResponseHead head) override;
    void on_body(std::string_view bytes) override;
    void on_end() override;
    void on_failure(HttpFailure failure) override;

    bool wait_for_end();  // of either kind
    bool wait_for_body(std::string_view begin);
    int status() const;
    std::string body() const;
    std::optional<std::string> header(std::string_view name) const;
    std::optional<HttpFailure> failure() const;
    int ends() const;            // must be 1
    std::function<void()> then;  // called after the end

  private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    HttpResponseHead head_;
    std::string body_;
    std::optional<HttpFailure> failure_;
    int ends_ = 0;
};

// Answers by a function.
class FunctionHandler final : public HttpHandler {
  public:
    using Function =
        std::function<void(HttpRequest, std::shared_ptr<HttpResponder>, std::stop_token)>;
    explicit FunctionHandler(Function function) : function_(std::move(function)) {}
    void handle(HttpRequest request, std::shared_ptr<HttpResponder> responder,
                std::stop_token cancelled) override {
        function_(std::move(request), std::move(responder), std::move(cancelled));
    }

  private:
    Function function_;
};

struct CertificateWish {
    std::string name = "localhost";  // DNS, or "IP:127.0.0.1"
    bool self_signed = false;
    bool expired = false;
};

// Writes ca.pem, cert.pem and key.pem; returns what a server and what a client reads.
struct CertificateFiles {
    TlsServerFiles server;
    std::string ca_file;
};
CertificateFiles make_certificates(const TempFolder& folder, const CertificateWish& wish);

// Sends and waits for the end.
std::shared_ptr<RecordingSink> fetch(HttpClient& client, const TcpPeer& peer,
                                     HttpClientRequest request);

}  // namespace weir::net::test

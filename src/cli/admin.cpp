#include "cli/admin.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <future>

#include "base/file.h"
#include "cli/table.h"
#include "net/http_client.h"
#include "server/serve.h"

namespace weir::cli {
namespace {

class Whole final : public net::HttpSink {
  public:
    void on_head(net::HttpResponseHead head) override { status_ = head.status; }
    void on_body(std::string_view bytes) override { body_ += bytes; }
    void on_end() override {
        if (status_ == 200) {
            done_.set_value(std::move(body_));
        } else {
            done_.set_value(fail(ErrorCode::Unavailable, "the gateway answered {}", status_));
        }
    }
    void on_failure(net::HttpFailure failure) override {
        done_.set_value(std::unexpected(failure.to_error()));
    }
    Result<std::string> wait() { return done_.get_future().get(); }

  private:
    int status_ = 0;
    std::string body_;
    std::promise<Result<std::string>> done_;
};

}  // namespace

Result<std::string> ask_gateway(const std::filesystem::path& home, const std::string& method,
                                const std::string& target) {
    net::Loop loop;
    loop.start();
    const auto whole = std::make_shared<Whole>();
    net::HttpClient client(loop);
    net::HttpClientRequest request{.method = method, .target = target};
    request.limits.total_max = std::chrono::seconds(30);
    client.send_unix(server::admin_socket(home).string(), std::move(request), whole);
    auto answer = whole->wait();
    if (!answer) {
        return fail(ErrorCode::Unavailable, "no gateway runs on {} (weir serve starts one): {}",
                    home.string(), answer.error().message);
    }
    return answer;
}

Result<void> ps(const std::filesystem::path& home, OutputForm form) {
    WEIR_TRY_ASSIGN(const std::string answer, ask_gateway(home, "GET", "/admin/ps"));
    constexpr std::array kColumns = std::to_array<Column>({{"name", "MODEL", 24},
                                                           {"state", "STATE", 10},
                                                           {"pid", "PID", 8},
                                                           {"memory_bytes", "MEMORY", 14},
                                                           {"in_flight", "REQUESTS", 9},
                                                           {"starts", "STARTS", 7},
                                                           {"deaths", "DEATHS", 7}});
    return print_table(answer, "workers", kColumns, form);
}

Result<void> ls(const std::filesystem::path& home, OutputForm form) {
    WEIR_TRY_ASSIGN(const std::string answer, ask_gateway(home, "GET", "/v1/models"));
    constexpr std::array kColumns = std::to_array<Column>({{"id", "MODEL", 40}});
    return print_table(answer, "data", kColumns, form);
}

// Asks, and waits until the gateway's lock is free: then it is gone.
Result<void> stop(const std::filesystem::path& home, OutputForm form) {
    WEIR_TRY(ask_gateway(home, "POST", "/admin/stop"));
    const UniqueFd lock(::open((home / "serve.lock").c_str(), O_RDWR | O_CLOEXEC));
    if (lock.is_open()) {
        ::flock(lock.get(), LOCK_EX);
    }
    std::puts(form == OutputForm::Json ? R"({"stopped":true})" : "stopped");
    return {};
}

}  // namespace weir::cli

#include "cli/admin.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <future>

#include "base/file.h"
#include "json/fields.h"
#include "json/parse.h"
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

struct Column {
    std::string_view member;
    std::string_view title;
    int width;
};

std::string cell(const json::Value* value) {
    if (value == nullptr || value->is_null()) {
        return "-";
    }
    if (const std::string* text = value->if_string()) {
        return *text;
    }
    if (const auto* number = std::get_if<int64_t>(&value->storage())) {
        return std::to_string(*number);
    }
    return "?";
}

// Prints the objects of the array `name` as a table, or the answer as it is.
Result<void> print(const std::string& answer, std::string_view name,
                   std::span<const Column> columns, OutputForm form) {
    if (form == OutputForm::Json) {
        std::puts(answer.c_str());
        return {};
    }
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(answer));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, ""));
    WEIR_TRY_ASSIGN(const json::Array* rows, fields.require_array(name));
    std::string out;
    for (const Column& column : columns) {
        out += fmt::format("{:<{}} ", column.title, column.width);
    }
    for (const json::Value& row : *rows) {
        out += '\n';
        for (const Column& column : columns) {
            const json::Object* object = row.if_object();
            out += fmt::format("{:<{}} ",
                               cell(object == nullptr ? nullptr : object->find(column.member)),
                               column.width);
        }
    }
    std::puts(out.c_str());
    return {};
}

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
    return print(answer, "workers", kColumns, form);
}

Result<void> ls(const std::filesystem::path& home, OutputForm form) {
    WEIR_TRY_ASSIGN(const std::string answer, ask_gateway(home, "GET", "/v1/models"));
    constexpr std::array kColumns = std::to_array<Column>({{"id", "MODEL", 40}});
    return print(answer, "data", kColumns, form);
}

Result<void> spend(const std::filesystem::path& home, uint32_t days, OutputForm form) {
    std::string target = "/admin/spend";
    if (days > 0) {
        const auto since = std::chrono::system_clock::now() - std::chrono::days(days);
        target += fmt::format(
            "?since={}",
            std::chrono::duration_cast<std::chrono::seconds>(since.time_since_epoch()).count());
    }
    WEIR_TRY_ASSIGN(const std::string answer, ask_gateway(home, "GET", target));
    constexpr std::array kColumns = std::to_array<Column>({{"backend", "BACKEND", 20},
                                                           {"model", "MODEL", 24},
                                                           {"requests", "REQUESTS", 9},
                                                           {"prompt_tokens", "TOKENS IN", 12},
                                                           {"cached_tokens", "CACHED", 12},
                                                           {"completion_tokens", "TOKENS OUT", 12},
                                                           {"cost", "COST", 16}});
    return print(answer, "spend", kColumns, form);
}

// Asks, and waits until the gateway's lock is free: then it is gone.
Result<void> stop(const std::filesystem::path& home) {
    WEIR_TRY(ask_gateway(home, "POST", "/admin/stop"));
    const UniqueFd lock(::open((home / "serve.lock").c_str(), O_RDWR | O_CLOEXEC));
    if (lock.is_open()) {
        ::flock(lock.get(), LOCK_EX);
    }
    std::puts("stopped");
    return {};
}

}  // namespace weir::cli

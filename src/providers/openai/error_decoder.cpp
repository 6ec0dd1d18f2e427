#include "providers/openai/error_decoder.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "json/parse.h"
#include "providers/retry_after.h"
#include "providers/sanitize.h"

namespace weir::providers {
namespace {

constexpr size_t kBodyBytesMax = 64 * 1024;  // of an error's body; more is not read
constexpr size_t kWorkerMessageBytesMax = 2000;

// What the body says, not yet judged.
struct Said {
    std::string message;
    std::string type;
    std::string code;
    std::string param;
    std::optional<int> status;  // some put it into `code`
};

std::string text_member(const json::Object& object, std::string_view name) {
    const json::Value* value = object.find(name);
    const std::string* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string() : *text;
}

Said said_by(const json::Value& error) {
    Said said;
    if (const std::string* text = error.if_string()) {
        said.message = *text;
    }
    const json::Object* object = error.if_object();
    if (object == nullptr) {
        return said;
    }
    said.message = text_member(*object, "message");
    said.type = text_member(*object, "type");
    said.code = text_member(*object, "code");
    said.param = text_member(*object, "param");
    const json::Value* code = object->find("code");
    const auto* number = code == nullptr ? nullptr : std::get_if<int64_t>(&code->storage());
    if (number != nullptr && *number >= 400 && *number <= 599) {
        said.status = static_cast<int>(*number);
    }
    return said;
}

// {"error":…}, the same in an array (Gemini), {"message":…} (older vLLM) or {"detail":…} (FastAPI).
Said said_in(std::string_view body) {
    const Result<json::Value> parsed = json::parse(body.substr(0, kBodyBytesMax));
    if (!parsed) {
        return {};
    }
    const json::Value* top = &*parsed;
    if (const json::Array* array = top->if_array(); array != nullptr && array->size() == 1) {
        top = &(*array)[0];
    }
    const json::Object* object = top->if_object();
    if (object == nullptr) {
        return {};
    }
    for (const std::string_view name : {"error", "detail"}) {
        const json::Value* inner = object->find(name);
        if (inner != nullptr && (inner->if_object() != nullptr || inner->if_string() != nullptr)) {
            return said_by(*inner);
        }
    }
    return said_by(*top);
}

bool is_about_money(const Said& said) {
    constexpr std::array<std::string_view, 4> kCodes = {
        "insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached",
        "billing_not_active"};
    return std::ranges::any_of(
        kCodes, [&](std::string_view code) { return said.code == code || said.type == code; });
}

// The inverse of api::error_type.
std::optional<ErrorCode> code_of_type(std::string_view type) {
    struct Row {
        std::string_view type;
        ErrorCode code;
    };
    constexpr Row kRows[] = {
        {"invalid_request_error", ErrorCode::InvalidArgument},
        {"authentication_error", ErrorCode::Unauthenticated},
        {"permission_error", ErrorCode::PermissionDenied},
        {"not_found_error", ErrorCode::NotFound},
        {"conflict_error", ErrorCode::Conflict},
        {"request_too_large", ErrorCode::TooLarge},
        {"rate_limit_error", ErrorCode::RateLimited},
        {"rate_limit_exceeded", ErrorCode::RateLimited},
        {"cancelled_error", ErrorCode::Cancelled},
        {"server_error", ErrorCode::Internal},
        {"upstream_error", ErrorCode::UpstreamFailed},
        {"overloaded_error", ErrorCode::Overloaded},
        {"unavailable_error", ErrorCode::Unavailable},
        {"timeout_error", ErrorCode::DeadlineExceeded},
    };
    for (const Row& row : kRows) {
        if (row.type == type) {
            return row.code;
        }
    }
    return std::nullopt;
}

ErrorCode code_of_status(int status) {
    switch (status) {
        case 400:
        case 422:
            return ErrorCode::InvalidArgument;
        case 408:
        case 504:
        case 524:
            return ErrorCode::DeadlineExceeded;
        case 413:
            return ErrorCode::TooLarge;
        case 402:
        case 429:
            return ErrorCode::RateLimited;
        case 409:
        case 425:
            return ErrorCode::Unavailable;
        case 503:
        case 529:
            return ErrorCode::Overloaded;
        default:
            return ErrorCode::UpstreamFailed;
    }
}

Error from_worker(const Said& said, ErrorCode fallback) {
    Error error;
    error.code = code_of_type(said.type).value_or(fallback);
    error.message = said.message.empty() ? "the model's worker failed" : said.message;
    if (error.message.size() > kWorkerMessageBytesMax) {
        error.message = utf8::to_valid(error.message.substr(0, kWorkerMessageBytesMax));
    }
    error.field = said.param;
    error.reason = said.code;
    return error;
}

// The provider's words are shown where they help the client to mend its request, and where they
// are about load; never where they are about our account.
Error from_provider(const Said& said, ErrorCode code) {
    Error error = make_error(code, "the provider failed");
    if (is_about_money(said)) {
        error.code = ErrorCode::RateLimited;
        error.message = "the provider's account has no credit left";
        error.reason = "insufficient_quota";
        return error;
    }
    const std::string words = sanitized_text(said.message);
    if (!words.empty()) {
        error.message = fmt::format("the provider answered: {}", words);
    }
    error.reason = sanitized_token(said.code);
    if (code == ErrorCode::InvalidArgument) {
        error.field = sanitized_token(said.param);
    }
    return error;
}

Error refused_gateway(std::string_view reason, std::string_view message) {
    return make_error(ErrorCode::UpstreamFailed, "{}", message).with_reason(reason);
}

Error judge(ErrorSource source, int status, const Said& said) {
    if (source == ErrorSource::Worker) {
        return from_worker(said, code_of_status(status));
    }
    switch (status) {
        case 401:
        case 403:
            return refused_gateway("upstream_auth", "the provider refused the gateway's key");
        case 404:
            return refused_gateway("upstream_not_found", "the provider does not know the model");
        case 402:
            return from_provider({.code = "insufficient_quota"}, ErrorCode::RateLimited);
        default:
            return from_provider(said, code_of_status(status));
    }
}

}  // namespace

Error decode_error_answer(ErrorSource source, int status, const net::Headers& headers,
                          std::string_view body, Clock::WallTime now) {
    Error error = judge(source, status, said_in(body));
    const bool waiting_helps = error.code == ErrorCode::RateLimited ||
                               error.code == ErrorCode::Overloaded ||
                               error.code == ErrorCode::Unavailable || status >= 500;
    if (waiting_helps && error.reason != "insufficient_quota") {
        error.retry_after = retry_after(headers, now);
    }
    return error;
}

Error decode_error_object(ErrorSource source, const json::Value& error) {
    const Said said = said_by(error);
    if (source == ErrorSource::Worker) {
        return from_worker(said, ErrorCode::UpstreamFailed);
    }
    if (said.status) {
        return judge(source, *said.status, said);
    }
    const std::optional<ErrorCode> by_type = code_of_type(said.type);
    const std::optional<ErrorCode> by_code = code_of_type(said.code);
    switch (by_type.value_or(by_code.value_or(ErrorCode::UpstreamFailed))) {
        case ErrorCode::InvalidArgument:
            return judge(source, 400, said);
        case ErrorCode::Unauthenticated:
        case ErrorCode::PermissionDenied:
            return judge(source, 401, said);
        case ErrorCode::NotFound:
            return judge(source, 404, said);
        case ErrorCode::TooLarge:
            return judge(source, 413, said);
        case ErrorCode::RateLimited:
            return judge(source, 429, said);
        case ErrorCode::Overloaded:
        case ErrorCode::Unavailable:
            return judge(source, 503, said);
        case ErrorCode::DeadlineExceeded:
            return judge(source, 504, said);
        case ErrorCode::Conflict:
        case ErrorCode::Cancelled:
        case ErrorCode::DataCorrupt:
        case ErrorCode::Unsupported:
        case ErrorCode::ResourceExhausted:
        case ErrorCode::UpstreamFailed:
        case ErrorCode::Internal:
            return from_provider(said, ErrorCode::UpstreamFailed);
    }
    return from_provider(said, ErrorCode::UpstreamFailed);
}

}  // namespace weir::providers

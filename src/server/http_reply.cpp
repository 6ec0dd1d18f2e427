#include "server/http_reply.h"

#include <utility>

#include "api/errors.h"

namespace weir::server {
namespace {

// Of the statuses that net::HttpServer answers with; only the type of the error follows from it.
ErrorCode code_of(int status) {
    switch (status) {
        case 408:
            return ErrorCode::DeadlineExceeded;
        case 413:
        case 414:
        case 431:
            return ErrorCode::TooLarge;
        case 500:
            return ErrorCode::Internal;
        case 503:
            return ErrorCode::Overloaded;
        default:
            return ErrorCode::InvalidArgument;
    }
}

}  // namespace

net::HttpReply error_reply(const Error& error, net::Headers headers) {
    headers.add("Content-Type", "application/json");
    for (auto& [name, value] : api::error_headers(error)) {
        headers.add(name, value);
    }
    return {.status = api::http_status(error.code),
            .headers = std::move(headers),
            .body = api::error_body(error)};
}

net::HttpReply error_reply(int status, std::string_view why) {
    net::HttpReply reply = error_reply(make_error(code_of(status), "{}", why));
    reply.status = status;
    return reply;
}

net::HttpReply json_reply(std::string body) {
    return {
        .status = 200, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

}  // namespace weir::server

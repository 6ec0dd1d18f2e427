#pragma once

#include <string_view>

#include "base/error.h"
#include "net/http_server.h"

namespace weir::server {

// A failure as OpenAI's clients read it, with the status and the headers that go with its code;
// `headers` are added to them.
net::HttpReply error_reply(const Error& error, net::Headers headers = {});

// The same for what the HTTP server refuses by itself, before there is a request: a status of its
// own and a reason that is safe to show.
net::HttpReply error_reply(int status, std::string_view why);

net::HttpReply json_reply(std::string body);

}  // namespace weir::server

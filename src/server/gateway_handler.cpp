#include "server/gateway_handler.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "api/errors.h"
#include "api/models.h"
#include "api/openai_chat.h"
#include "base/random.h"
#include "server/exchange.h"
#include "server/http_reply.h"

namespace weir::server {
namespace {

constexpr size_t kInlineBodyBytesMax = size_t{16} << 10;  // larger ones are read on the pool
constexpr size_t kQueuedBytesMax = size_t{512} << 20;

void reply_text(net::HttpResponder& responder, int status, std::string body) {
    responder.reply({.status = status,
                     .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
                     .body = std::move(body)});
}

// 128 random bits as 32 hexadecimal digits.
std::string new_request_id() {
    return fmt::format("{:016x}{:016x}", random_u64(), random_u64());
}

// The host of "host", "host:port" or "[v6]:port", without its port.
std::string_view host_name(std::string_view host) {
    if (!host.empty() && host.front() == '[') {
        return host.substr(0, std::min(host.find(']') + 1, host.size()));
    }
    return host.substr(0, host.find(':'));
}

std::string_view without_scheme(std::string_view origin) {
    const size_t end = origin.find("://");
    return end == std::string_view::npos ? origin : origin.substr(end + 3);
}

std::optional<std::string_view> bearer_of(const net::Headers& headers) {
    const auto value = headers.find("Authorization");
    constexpr std::string_view kScheme = "Bearer ";
    if (!value || value->size() <= kScheme.size() ||
        !net::equals_ignoring_case(value->substr(0, kScheme.size()), kScheme)) {
        return std::nullopt;
    }
    return value->substr(kScheme.size());
}

Result<std::optional<chat::Label>> stated_label(const net::Headers& headers) {
    const auto value = headers.find("x-weir-label");
    if (!value) {
        return std::nullopt;
    }
    const auto label = chat::label_from(*value);
    if (!label || headers.count("x-weir-label") > 1) {
        return invalid_argument(
            "x-weir-label",
            "the header x-weir-label must be public, internal, confidential or restricted");
    }
    return label;
}

}  // namespace

GatewayHandler::GatewayHandler(std::shared_ptr<Gateway> gateway, ServerActions actions)
    : gateway_(std::move(gateway)), actions_(std::move(actions)) {}

// A browser sends what a foreign page tells it to, so a page's own name must not become ours (Host)
// and a foreign page must not speak through us (Origin).
Result<void> GatewayHandler::check_site(const net::HttpRequest& request) const {
    const auto is_ours = [&](std::string_view host) {
        const std::string_view name = host_name(host);
        const Config& config = gateway_->config;
        return name == "localhost" || name == "127.0.0.1" || name == "[::1]" ||
               name == config.listen_address ||
               name == fmt::format("[{}]", config.listen_address) ||
               std::find(config.allowed_hosts.begin(), config.allowed_hosts.end(), name) !=
                   config.allowed_hosts.end();
    };
    // With keys a foreign page can do nothing: it has none.
    if (request.listener == net::Listener::Unix || !gateway_->keys.empty()) {
        return {};
    }
    if (!is_ours(request.host) || (request.origin && !is_ours(without_scheme(*request.origin)))) {
        return std::unexpected(make_error(ErrorCode::PermissionDenied,
                                          "this Host or Origin is not one of this server's "
                                          "(server.allowed_hosts)")
                                   .with_reason("foreign_site"));
    }
    return {};
}

Result<const ledger::ClientKey*> GatewayHandler::authorise(const net::HttpRequest& request) const {
    if (gateway_->keys.empty() || request.listener == net::Listener::Unix) {
        return nullptr;
    }
    const auto bearer = bearer_of(request.headers);
    const ledger::ClientKey* key = bearer ? gateway_->keys.find(*bearer) : nullptr;
    if (key == nullptr) {
        return std::unexpected(make_error(ErrorCode::Unauthenticated, "{}",
                                          bearer ? "this key is not known"
                                                 : "a key is needed: Authorization: Bearer …")
                                   .with_reason("invalid_api_key"));
    }
    return key;
}

net::HttpReply GatewayHandler::error_reply(int status, std::string_view why) {
    return server::error_reply(status, why);
}

void GatewayHandler::handle(net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder,
                            std::stop_token cancelled) {
    Call call{std::move(request), std::move(responder), std::move(cancelled),
              gateway_->clock.now()};
    if (call.request.method == "GET" && call.request.path == "/health") {
        reply_text(*call.responder, 200, "ok\n");
        return;
    }
    if (call.request.method == "GET" && call.request.path == "/ready") {
        const bool ready = actions_.is_ready();
        reply_text(*call.responder, ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
        return;
    }
    if (const Result<void> site = check_site(call.request); !site) {
        call.responder->reply(server::error_reply(site.error()));
        return;
    }
    const auto key = authorise(call.request);
    if (!key) {
        call.responder->reply(server::error_reply(key.error()));
        return;
    }
    call.key = *key;
    dispatch(std::move(call));
}

void GatewayHandler::dispatch(Call call) {
    constexpr std::string_view kModel = "/v1/models/";
    const std::string_view path = call.request.path;
    const bool posts = path == "/v1/chat/completions" || path == "/v1/completions";
    const bool gets = path == "/v1/models" || path.starts_with(kModel) || path == "/metrics";
    if (path.starts_with("/admin/") && call.request.listener == net::Listener::Unix) {
        dispatch_admin(std::move(call));
    } else if (!posts && !gets) {
        call.responder->reply(
            server::error_reply(make_error(ErrorCode::NotFound, "there is no such path")));
    } else if (call.request.method != (posts ? "POST" : "GET")) {
        Error error = make_error(ErrorCode::InvalidArgument, "this path takes {} only",
                                 posts ? "POST" : "GET");
        call.responder->reply(
            {.status = 405,
             .headers = {{"Allow", posts ? "POST" : "GET"}, {"Content-Type", "application/json"}},
             .body = api::error_body(error)});
    } else if (posts) {
        const bool chat = path == "/v1/chat/completions";
        complete(std::move(call), chat);
    } else if (path == "/metrics") {
        actions_.collect_metrics([responder = call.responder](std::string text) {
            responder->reply(
                {.status = 200,
                 .headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                 .body = std::move(text)});
        });
    } else if (path == "/v1/models") {
        list_models(call);
    } else {
        show_model(call, path.substr(kModel.size()));
    }
}

void GatewayHandler::dispatch_admin(Call call) {
    const std::string& path = call.request.path;
    const std::string& method = call.request.method;
    if (method == "GET" && path == "/admin/ps") {
        actions_.list_workers([responder = call.responder](std::string text) {
            responder->reply(json_reply(std::move(text)));
        });
    } else if (method == "GET" && path == "/admin/spend") {
        show_spend(call);
    } else if (method == "POST" && path == "/admin/stop") {
        call.responder->reply(json_reply(R"({"stopping":true})"));
        actions_.stop();
    } else {
        call.responder->reply(
            server::error_reply(make_error(ErrorCode::NotFound, "there is no such path")));
    }
}

void GatewayHandler::complete(Call call, bool chat) {
    if (call.request.body.size() <= kInlineBodyBytesMax) {
        if (const Result<void> begun = begin(call, chat); !begun) {
            call.responder->reply(server::error_reply(begun.error()));
        }
        return;
    }
    const auto responder = call.responder;
    const size_t bytes = call.request.body.size();
    bool queued = queued_bytes_.fetch_add(bytes) + bytes <= kQueuedBytesMax;
    queued = queued && gateway_->pool.post([this, bytes, call = std::move(call), chat]() mutable {
        queued_bytes_ -= bytes;
        if (call.cancelled.stop_requested()) {
            return;  // nobody waits for it
        }
        if (const Result<void> begun = begin(call, chat); !begun) {
            call.responder->reply(server::error_reply(begun.error()));
        }
    });
    if (!queued) {
        queued_bytes_ -= bytes;
        responder->reply(server::error_reply(
            make_error(ErrorCode::Overloaded, "too many large requests at once")));
    }
}

Result<void> GatewayHandler::begin(Call& call, bool chat) {
    WEIR_TRY_ASSIGN(const auto header_label, stated_label(call.request.headers));
    WEIR_TRY_ASSIGN(chat::ChatRequest request,
                    chat ? api::parse_chat_request(call.request.body, {})
                         : api::parse_completion_request(call.request.body, {}));
    const auto route = gateway_->routes.find(request.model);
    if (route == gateway_->routes.end()) {
        return std::unexpected(api::model_not_found());
    }
    request.id = new_request_id();
    request.drawn_seed = random_u64() >> 1;  // OpenAI's seeds are signed
    request.asked_at = local_time(gateway_->clock);
    request.tenant = call.key == nullptr ? "" : call.key->name;
    Exchange::Origin origin{.key_name = request.tenant, .arrived = call.arrived};
    origin.labels.header = header_label;
    if (call.key != nullptr) {
        origin.labels.key = call.key->label;
    }
    std::make_shared<Exchange>(*gateway_, *route->second, std::move(origin), call.responder,
                               call.cancelled)
        ->start(std::move(request));
    return {};
}

void GatewayHandler::list_models(const Call& call) const {
    std::vector<api::ModelEntry> models;
    for (const RouteConfig& route : gateway_->config.routes) {
        models.push_back({.id = route.model, .created = gateway_->started, .owned_by = "weir"});
    }
    call.responder->reply(json_reply(api::model_list_json(models)));
}

void GatewayHandler::show_model(const Call& call, std::string_view name) const {
    const auto route = gateway_->routes.find(std::string(name));
    if (route == gateway_->routes.end()) {
        call.responder->reply(server::error_reply(api::model_not_found()));
        return;
    }
    call.responder->reply(json_reply(api::model_json(
        {.id = route->second->model, .created = gateway_->started, .owned_by = "weir"})));
}

void GatewayHandler::show_spend(const Call& call) const {
    constexpr std::string_view kSince = "since=";
    int64_t since = 0;
    const std::string_view query = call.request.query;
    if (!query.empty()) {
        const char* end = query.data() + query.size();
        const auto parsed =
            std::from_chars(query.data() + std::min(kSince.size(), query.size()), end, since);
        if (!query.starts_with(kSince) || parsed.ec != std::errc() || parsed.ptr != end) {
            call.responder->reply(server::error_reply(
                make_error(ErrorCode::InvalidArgument, "since must be Unix seconds")
                    .with_field("since")));
            return;
        }
    }
    const std::chrono::system_clock::time_point from{std::chrono::seconds(since)};
    gateway_->ledger->spend(
        from, [responder = call.responder](Result<std::vector<ledger::SpendRow>> rows) {
            if (!rows) {
                responder->reply(server::error_reply(rows.error()));
                return;
            }
            responder->reply(json_reply(ledger::spend_json(*rows)));
        });
}

}  // namespace weir::server

#include "server/config.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/file.h"
#include "json/fields.h"
#include "server/toml_to_json.h"

namespace weir::server {
namespace {

using json::Fields;
using json::in_range;

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr size_t kNameBytesMax = 128;

Result<void> read_label(Fields& fields, std::string_view key, std::optional<chat::Label>& out) {
    std::optional<std::string> text;
    WEIR_TRY(fields.read(key, text));
    if (text) {
        out = chat::label_from(*text);
        if (!out) {
            return invalid_argument(fields.path_of(key),
                                    "{} must be public, internal, confidential or restricted",
                                    fields.path_of(key));
        }
    }
    return {};
}

template <typename Duration>
Result<void> read_duration(Fields& fields, std::string_view key, int64_t max, Duration& out) {
    std::optional<int64_t> count;
    WEIR_TRY(fields.read(key, in_range<int64_t>(0, max), count));
    if (count) {
        out = Duration(*count);
    }
    return {};
}

Result<std::string> read_name(Fields& fields, std::string_view key) {
    WEIR_TRY_ASSIGN(std::string name, fields.require_string(key));
    const bool printable = std::all_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) > 0x20 && c != '"' && c != 0x7F;
    });
    if (name.empty() || name.size() > kNameBytesMax || !printable) {
        return invalid_argument(fields.path_of(key), "{} must have 1 to {} visible characters",
                                fields.path_of(key), kNameBytesMax);
    }
    return name;
}

// "127.0.0.1:8080" or "[::1]:8080".
Result<void> read_listen(Fields& fields, Config& config) {
    std::optional<std::string> text;
    WEIR_TRY(fields.read("listen", text));
    if (!text) {
        return {};
    }
    const size_t colon = text->rfind(':');
    std::string_view address = std::string_view(*text).substr(0, colon);
    if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
    }
    const std::string_view port =
        colon == std::string::npos ? std::string_view() : std::string_view(*text).substr(colon + 1);
    const auto [end, error] =
        std::from_chars(port.data(), port.data() + port.size(), config.listen_port);
    if (address.empty() || port.empty() || error != std::errc() ||
        end != port.data() + port.size()) {
        return invalid_argument(fields.path_of("listen"), "{} must be ADDRESS:PORT",
                                fields.path_of("listen"));
    }
    config.listen_address = address;
    return {};
}

Result<void> read_server(Fields fields, Config& config) {
    WEIR_TRY(read_listen(fields, config));
    WEIR_TRY(fields.read("tls_certificate_file", config.tls_certificate_file));
    WEIR_TRY(fields.read("tls_key_file", config.tls_key_file));
    WEIR_TRY(read_duration(fields, "drain_seconds", 3600, config.drain_max));
    WEIR_TRY(read_duration(fields, "idle_unload_seconds", 1 << 30, config.idle_unload));
    std::optional<std::string> budget;
    WEIR_TRY(fields.read("memory_budget", budget));
    if (budget) {
        auto bytes = parse_bytes(*budget);
        if (!bytes) {
            return std::unexpected(
                std::move(bytes).error().with_field(fields.path_of("memory_budget")));
        }
        config.memory_budget_bytes = *bytes;
    }
    WEIR_TRY_ASSIGN(const json::Array* hosts, fields.array("allowed_hosts"));
    for (size_t i = 0; hosts != nullptr && i < hosts->size(); ++i) {
        const std::string* host = hosts->at(i).if_string();
        if (host == nullptr) {
            return invalid_argument(fields.path_of("allowed_hosts"), "{} must hold strings",
                                    fields.path_of("allowed_hosts"));
        }
        config.allowed_hosts.push_back(*host);
    }
    return fields.refuse_unknown();
}

Result<ledger::Rate> read_rate(Fields& fields, std::string_view key) {
    WEIR_TRY_ASSIGN(const std::string text, fields.require_string(key));
    auto rate = ledger::rate_from_dollars_per_million(text);
    if (!rate) {
        return std::unexpected(std::move(rate).error().with_field(fields.path_of(key)));
    }
    return rate;
}

Result<ledger::Price> read_price(Fields& backend) {
    ledger::Price price;
    WEIR_TRY_ASSIGN(const json::Object* table, backend.object("price"));
    if (table == nullptr) {
        return price;
    }
    Fields fields(*table, backend.path_of("price"));
    WEIR_TRY_ASSIGN(price.input, read_rate(fields, "input"));
    WEIR_TRY_ASSIGN(price.output, read_rate(fields, "output"));
    if (fields.get("cached") != nullptr) {
        WEIR_TRY_ASSIGN(price.cached, read_rate(fields, "cached"));
    }
    WEIR_TRY(fields.refuse_unknown());
    return price;
}

Result<ModelSource> read_model(Fields& fields) {
    ModelSource model;
    WEIR_TRY(fields.read("path", model.path));
    WEIR_TRY(fields.read("context_tokens", in_range(1u, 1u << 24), model.context_tokens));
    WEIR_TRY(fields.read("cache_tokens", in_range(1u, 1u << 28), model.cache_tokens));
    WEIR_TRY(fields.read("threads", in_range(1u, 1024u), model.threads));
    return model;
}

Result<RemoteSource> read_remote(Fields& fields) {
    RemoteSource remote;
    WEIR_TRY_ASSIGN(const std::string url, fields.require_string("base_url"));
    auto parsed = net::parse_base_url(url);
    if (!parsed) {
        return std::unexpected(std::move(parsed).error().with_field(fields.path_of("base_url")));
    }
    remote.base_url = *std::move(parsed);
    WEIR_TRY_ASSIGN(remote.model, fields.require_string("model"));
    WEIR_TRY(fields.read("api_key_env", remote.api_key_env));
    WEIR_TRY(fields.read("ca_file", remote.ca_file));
    WEIR_TRY(fields.read("speaks_extensions", remote.speaks_extensions));
    constexpr int64_t kHourMs = 3'600'000;
    WEIR_TRY(read_duration(fields, "connect_ms", kHourMs, remote.connect_max));
    WEIR_TRY(read_duration(fields, "first_byte_ms", kHourMs, remote.first_byte_max));
    WEIR_TRY(read_duration(fields, "between_bytes_ms", kHourMs, remote.between_bytes_max));
    WEIR_TRY(read_duration(fields, "total_ms", 24 * kHourMs, remote.total_max));
    return remote;
}

Result<BackendConfig> read_backend(Fields fields) {
    BackendConfig backend;
    WEIR_TRY_ASSIGN(backend.name, read_name(fields, "name"));
    WEIR_TRY_ASSIGN(const std::string kind, fields.require_string("kind"));
    if (kind == "model") {
        backend.clearance = chat::Label::Restricted;
        WEIR_TRY_ASSIGN(backend.source, read_model(fields));
    } else if (kind == "openai") {
        WEIR_TRY_ASSIGN(backend.source, read_remote(fields));
    } else {
        return invalid_argument(fields.path_of("kind"), "{} must be \"model\" or \"openai\"",
                                fields.path_of("kind"));
    }
    std::optional<chat::Label> clearance;
    WEIR_TRY(read_label(fields, "clearance", clearance));
    backend.clearance = clearance.value_or(backend.clearance);
    WEIR_TRY_ASSIGN(backend.price, read_price(fields));
    WEIR_TRY(fields.refuse_unknown());
    return backend;
}

Result<RouteConfig> read_route(Fields fields, const std::vector<BackendConfig>& backends) {
    RouteConfig route;
    WEIR_TRY_ASSIGN(route.model, read_name(fields, "model"));
    WEIR_TRY(read_label(fields, "label", route.label));
    WEIR_TRY_ASSIGN(const json::Array* names, fields.require_array("backends"));
    for (const json::Value& entry : *names) {
        const std::string* name = entry.if_string();
        const auto found = std::find_if(backends.begin(), backends.end(), [&](const auto& known) {
            return name != nullptr && known.name == *name;
        });
        if (found == backends.end()) {
            return invalid_argument(fields.path_of("backends"), "{} names no backend: {}",
                                    fields.path_of("backends"),
                                    name == nullptr ? "(not a string)" : *name);
        }
        route.backends.push_back(static_cast<size_t>(found - backends.begin()));
    }
    if (route.backends.empty()) {
        return invalid_argument(fields.path_of("backends"), "{} must name a backend",
                                fields.path_of("backends"));
    }
    WEIR_TRY(fields.refuse_unknown());
    return route;
}

Result<ledger::ClientKey> read_key(Fields fields) {
    ledger::ClientKey key;
    WEIR_TRY_ASSIGN(key.name, read_name(fields, "name"));
    WEIR_TRY_ASSIGN(const std::string hash, fields.require_string("sha256"));
    auto digest = ledger::sha256_from_hex(hash);
    if (!digest) {
        return std::unexpected(std::move(digest).error().with_field(fields.path_of("sha256")));
    }
    key.hash = *digest;
    std::optional<chat::Label> label;
    WEIR_TRY(read_label(fields, "label", label));
    key.label = label.value_or(key.label);
    WEIR_TRY(fields.refuse_unknown());
    return key;
}

// Calls `read` with a Fields over each table of the array `name`.
template <typename Read>
Result<void> for_each_table(Fields& root, std::string_view name, Read read) {
    WEIR_TRY_ASSIGN(const json::Array* tables, root.array(name));
    for (size_t i = 0; tables != nullptr && i < tables->size(); ++i) {
        WEIR_TRY_ASSIGN(Fields fields, Fields::of(tables->at(i), fmt::format("{}[{}]", name, i)));
        WEIR_TRY(read(std::move(fields)));
    }
    return {};
}

template <typename Item, typename NameOf>
Result<void> refuse_twice(const std::vector<Item>& items, std::string_view where, NameOf name_of) {
    for (size_t i = 0; i < items.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
            if (name_of(items[i]) == name_of(items[j])) {
                return invalid_argument(fmt::format("{}[{}]", where, i),
                                        "{}[{}]: \"{}\" is there twice", where, i,
                                        name_of(items[i]));
            }
        }
    }
    return {};
}

void add_own_routes(Config& config) {
    for (size_t i = 0; i < config.backends.size(); ++i) {
        const std::string& name = config.backends[i].name;
        const bool present = std::any_of(config.routes.begin(), config.routes.end(),
                                         [&](const auto& route) { return route.model == name; });
        if (!present) {
            config.routes.push_back({.model = name, .backends = {i}});
        }
    }
}

Result<void> check_whole(const Config& config) {
    WEIR_TRY(refuse_twice(config.backends, "backend",
                          [](const auto& item) { return std::string_view(item.name); }));
    WEIR_TRY(refuse_twice(config.routes, "route",
                          [](const auto& item) { return std::string_view(item.model); }));
    WEIR_TRY(refuse_twice(config.keys, "key",
                          [](const auto& item) { return std::string_view(item.name); }));
    if (config.tls_certificate_file.empty() != config.tls_key_file.empty()) {
        return invalid_argument("server.tls_key_file",
                                "tls_certificate_file and tls_key_file go together");
    }
    return {};
}

}  // namespace

Result<uint64_t> parse_bytes(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, uint64_t>, 4> kUnits = {
        {{"KiB", uint64_t{1} << 10},
         {"MiB", uint64_t{1} << 20},
         {"GiB", uint64_t{1} << 30},
         {"TiB", uint64_t{1} << 40}}};
    uint64_t unit = 1;
    for (const auto& [suffix, bytes] : kUnits) {
        if (text.ends_with(suffix)) {
            unit = bytes;
            text.remove_suffix(suffix.size());
        }
    }
    uint64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc() || end != text.data() + text.size() ||
        count > (UINT64_MAX >> 1) / unit) {
        return fail(ErrorCode::InvalidArgument, "not a size such as \"512MiB\" or \"8GiB\"");
    }
    return count * unit;
}

Config default_config() {
    Config config;
    config.backends.push_back({.name = std::string(kEmbeddedModelName),
                               .clearance = chat::Label::Restricted,
                               .source = ModelSource{}});
    add_own_routes(config);
    return config;
}

Result<Config> parse_config(std::string_view toml) {
    WEIR_TRY_ASSIGN(const json::Value tree, toml_to_json(toml));
    WEIR_TRY_ASSIGN(Fields root, Fields::of(tree, ""));
    Config config;
    if (const json::Value* server = root.get("server")) {
        WEIR_TRY_ASSIGN(Fields fields, Fields::of(*server, "server"));
        WEIR_TRY(read_server(std::move(fields), config));
    }
    if (const json::Value* policy = root.get("policy")) {
        WEIR_TRY_ASSIGN(Fields fields, Fields::of(*policy, "policy"));
        WEIR_TRY(read_duration(fields, "scan_deadline_ms", 60'000, config.scan_deadline));
        WEIR_TRY(fields.refuse_unknown());
    }
    WEIR_TRY(for_each_table(root, "backend", [&](Fields fields) -> Result<void> {
        WEIR_TRY_ASSIGN(config.backends.emplace_back(), read_backend(std::move(fields)));
        return {};
    }));
    if (config.backends.empty()) {
        config.backends = default_config().backends;
    }
    WEIR_TRY(for_each_table(root, "route", [&](Fields fields) -> Result<void> {
        WEIR_TRY_ASSIGN(config.routes.emplace_back(),
                        read_route(std::move(fields), config.backends));
        return {};
    }));
    WEIR_TRY(for_each_table(root, "key", [&](Fields fields) -> Result<void> {
        WEIR_TRY_ASSIGN(config.keys.emplace_back(), read_key(std::move(fields)));
        return {};
    }));
    WEIR_TRY(root.refuse_unknown());
    WEIR_TRY(check_whole(config));
    add_own_routes(config);
    return config;
}

Result<Config> load_config(const std::filesystem::path& path) {
    WEIR_TRY_ASSIGN(const std::string text, read_file(path, kFileBytesMax));
    Result<Config> config = parse_config(text);
    if (!config) {
        return std::unexpected(std::move(config).error().with_context(path.filename().string()));
    }
    return config;
}

}  // namespace weir::server

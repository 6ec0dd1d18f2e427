#include "server/config.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/file.h"
#include "server/config_files.h"
#include "server/config_table.h"
#include "server/toml_to_json.h"

namespace weir::server {
namespace {

using json::in_range;

constexpr size_t kFileBytesMax = size_t{1} << 20;
constexpr size_t kNameBytesMax = 128;

Result<void> read_label(ConfigTable& table, std::string_view key, std::optional<chat::Label>& out) {
    std::optional<std::string> text;
    WEIR_TRY(table.read(key, text));
    if (text) {
        out = chat::label_from(*text);
        if (!out) {
            return table.refuse(key, "must be public, internal, confidential or restricted");
        }
    }
    return {};
}

template <typename Duration>
Result<void> read_duration(ConfigTable& table, std::string_view key, int64_t max, Duration& out) {
    std::optional<int64_t> count;
    WEIR_TRY(table.read(key, in_range<int64_t>(0, max), count));
    if (count) {
        out = Duration(*count);
    }
    return {};
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= kNameBytesMax &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return static_cast<unsigned char>(c) > 0x20 && c != '"' && c != 0x7F;
           });
}

Result<std::string> read_name(ConfigTable& table, std::string_view key) {
    WEIR_TRY_ASSIGN(std::string name, table.require_string(key));
    if (!is_name(name)) {
        return table.refuse(key, "must have 1 to {} visible characters", kNameBytesMax);
    }
    return name;
}

Result<void> read_path(ConfigTable& table, std::string_view key,
                       const std::filesystem::path& folder, std::string& out) {
    std::optional<std::string> text;
    WEIR_TRY(table.read(key, text));
    if (text && text->empty()) {
        return table.refuse(key, "must not be empty (leave it out)");
    }
    out = text ? resolved_path(*text, folder) : out;
    return {};
}

Result<void> read_listen(ConfigTable& table, Config& config) {
    std::optional<std::string> text;
    WEIR_TRY(table.read("listen", text));
    if (text) {
        WEIR_TRY_ASSIGN(const ListenAddress listen, table.checked("listen", parse_listen(*text)));
        config.listen_address = listen.address;
        config.listen_port = listen.port;
    }
    return {};
}

Result<void> read_server(ConfigTable table, const std::filesystem::path& folder, Config& config) {
    WEIR_TRY(read_listen(table, config));
    WEIR_TRY(read_path(table, "tls_certificate_file", folder, config.tls_certificate_file));
    WEIR_TRY(read_path(table, "tls_key_file", folder, config.tls_key_file));
    WEIR_TRY(read_duration(table, "drain_seconds", 3600, config.drain_max));
    WEIR_TRY(read_duration(table, "idle_unload_seconds", 1 << 30, config.idle_unload));
    std::optional<std::string> budget;
    WEIR_TRY(table.read("memory_budget", budget));
    if (budget) {
        WEIR_TRY_ASSIGN(config.memory_budget_bytes,
                        table.checked("memory_budget", parse_bytes(*budget)));
    }
    WEIR_TRY_ASSIGN(const json::Array* hosts, table.array("allowed_hosts"));
    for (size_t i = 0; hosts != nullptr && i < hosts->size(); ++i) {
        const std::string* host = hosts->at(i).if_string();
        if (host == nullptr) {
            return table.refuse("allowed_hosts", "must hold strings");
        }
        config.allowed_hosts.push_back(*host);
    }
    WEIR_TRY(table.refuse_unknown());
    if (config.tls_certificate_file.empty() != config.tls_key_file.empty()) {
        return table.refuse("tls_key_file", "and tls_certificate_file go together");
    }
    return {};
}

Result<ledger::Rate> read_rate(ConfigTable& table, std::string_view key) {
    WEIR_TRY_ASSIGN(const std::string text, table.require_string(key));
    return table.checked(key, ledger::rate_from_dollars_per_million(text));
}

// A model of one's own costs nothing; what a provider charges has to be said.
Result<std::optional<ledger::Price>> read_price(ConfigTable& backend, bool is_local) {
    WEIR_TRY_ASSIGN(auto table, backend.table("price"));
    if (!table) {
        return is_local ? std::optional(ledger::Price{}) : std::nullopt;
    }
    ledger::Price price;
    WEIR_TRY_ASSIGN(price.input, read_rate(*table, "input"));
    WEIR_TRY_ASSIGN(price.output, read_rate(*table, "output"));
    std::optional<std::string> cached;
    WEIR_TRY(table->read("cached", cached));
    if (cached) {
        WEIR_TRY_ASSIGN(price.cached, read_rate(*table, "cached"));
    }
    WEIR_TRY(table->refuse_unknown());
    return price;
}

Result<ModelSource> read_model(ConfigTable& table, const std::filesystem::path& folder) {
    ModelSource model;
    WEIR_TRY(read_path(table, "path", folder, model.path));
    WEIR_TRY(table.read("context_tokens", in_range(1u, kContextTokensMax), model.context_tokens));
    WEIR_TRY(table.read("cache_tokens", in_range(1u, kCacheTokensMax), model.cache_tokens));
    WEIR_TRY(table.read("cache_bits", in_range(8u, 32u), model.cache_bits));
    if (const uint32_t bits = model.cache_bits.value_or(16);
        bits != 8 && bits != 16 && bits != 32) {
        return table.refuse("cache_bits", "must be 8, 16 or 32");
    }
    WEIR_TRY(table.read("threads", in_range(1u, kThreadsMax), model.threads));
    return model;
}

bool is_this_machine(const std::string& host) {
    in_addr v4{};
    in6_addr v6{};
    return host == "localhost" ||
           (::inet_pton(AF_INET, host.c_str(), &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127) ||
           (::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}

// The URL itself is never shown: people paste keys into it.
Result<net::BaseUrl> read_base_url(ConfigTable& table) {
    WEIR_TRY_ASSIGN(const std::string text, table.require_string("base_url"));
    const size_t scheme_end = text.find("://");
    const size_t authority = scheme_end == std::string::npos ? 0 : scheme_end + 3;
    if (text.substr(authority, text.find('/', authority) - authority).contains('@')) {
        return table.refuse("base_url",
                            "must not hold credentials: a key goes into the environment variable "
                            "that api_key_env names");
    }
    WEIR_TRY_ASSIGN(net::BaseUrl url, table.checked("base_url", net::parse_base_url(text)));
    bool allow_plain_http = false;
    WEIR_TRY(table.read("allow_plain_http", allow_plain_http));
    if (url.origin.scheme == net::Scheme::Http && !is_this_machine(url.origin.host) &&
        !allow_plain_http) {
        return table.refuse("base_url",
                            "is http:// to another machine: prompts and key would travel in clear "
                            "(use https://, or say allow_plain_http = true)");
    }
    return url;
}

Result<RemoteSource> read_remote(ConfigTable& table, const std::filesystem::path& folder) {
    RemoteSource remote;
    WEIR_TRY_ASSIGN(remote.base_url, read_base_url(table));
    WEIR_TRY_ASSIGN(remote.model, table.require_string("model"));
    WEIR_TRY(table.read("api_key_env", remote.api_key_env));
    WEIR_TRY(read_path(table, "ca_file", folder, remote.ca_file));
    WEIR_TRY(table.read("speaks_extensions", remote.speaks_extensions));
    constexpr int64_t kHourMs = 3'600'000;
    WEIR_TRY(read_duration(table, "connect_ms", kHourMs, remote.connect_max));
    WEIR_TRY(read_duration(table, "first_byte_ms", kHourMs, remote.first_byte_max));
    WEIR_TRY(read_duration(table, "between_bytes_ms", kHourMs, remote.between_bytes_max));
    WEIR_TRY(read_duration(table, "total_ms", 24 * kHourMs, remote.total_max));
    return remote;
}

Result<BackendConfig> read_backend(ConfigTable table, const std::filesystem::path& folder) {
    BackendConfig backend;
    WEIR_TRY_ASSIGN(backend.name, read_name(table, "name"));
    WEIR_TRY_ASSIGN(const std::string kind, table.require_string("kind"));
    if (kind == "model") {
        backend.clearance = chat::Label::Restricted;
        WEIR_TRY_ASSIGN(backend.source, read_model(table, folder));
    } else if (kind == "openai") {
        WEIR_TRY_ASSIGN(backend.source, read_remote(table, folder));
    } else {
        return table.refuse("kind", "must be \"model\" or \"openai\"");
    }
    std::optional<chat::Label> clearance;
    WEIR_TRY(read_label(table, "clearance", clearance));
    backend.clearance = clearance.value_or(backend.clearance);
    WEIR_TRY_ASSIGN(backend.price, read_price(table, backend.is_local()));
    WEIR_TRY(table.refuse_unknown());
    return backend;
}

Result<RouteConfig> read_route(ConfigTable table, const std::vector<BackendConfig>& backends) {
    RouteConfig route;
    WEIR_TRY_ASSIGN(route.model, read_name(table, "model"));
    WEIR_TRY(read_label(table, "label", route.label));
    WEIR_TRY_ASSIGN(const json::Array* names, table.require_array("backends"));
    for (const json::Value& entry : *names) {
        const std::string* name = entry.if_string();
        const auto found = std::find_if(backends.begin(), backends.end(), [&](const auto& known) {
            return name != nullptr && known.name == *name;
        });
        if (found == backends.end()) {
            return table.refuse("backends", "names no backend: {}",
                                name == nullptr ? "(not a string)" : *name);
        }
        route.backends.push_back(static_cast<size_t>(found - backends.begin()));
    }
    if (route.backends.empty()) {
        return table.refuse("backends", "must name a backend");
    }
    WEIR_TRY(table.refuse_unknown());
    return route;
}

Result<ledger::ClientKey> read_key(ConfigTable table) {
    ledger::ClientKey key;
    WEIR_TRY_ASSIGN(key.name, read_name(table, "name"));
    WEIR_TRY_ASSIGN(const std::string hash, table.require_string("sha256"));
    WEIR_TRY_ASSIGN(key.hash, table.checked("sha256", ledger::sha256_from_hex(hash)));
    std::optional<chat::Label> label;
    WEIR_TRY(read_label(table, "label", label));
    key.label = label.value_or(key.label);
    WEIR_TRY(table.refuse_unknown());
    return key;
}

// Refuses two items with the same `of(item)`, under the key `key` of the array `where`.
template <typename Item, typename Of>
Result<void> refuse_twice(const std::vector<Item>& items, std::string_view where,
                          std::string_view key, Of of) {
    for (size_t i = 0; i < items.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
            if (of(items[i]) == of(items[j])) {
                const std::string path = fmt::format("{}[{}].{}", where, i, key);
                return invalid_argument(path,
                                        "{} is there twice: the {} before it that has it is "
                                        "number {}",
                                        path, where, j + 1);
            }
        }
    }
    return {};
}

// Of two keys with one hash only one could count, and its label would be the other's surprise.
Result<void> refuse_same_secret(const std::vector<ledger::ClientKey>& keys) {
    for (size_t i = 0; i < keys.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
            if (keys[i].hash == keys[j].hash) {
                const std::string path = fmt::format("key[{}].sha256", i);
                return invalid_argument(path, "{} is also that of key \"{}\": give each its own",
                                        path, keys[j].name);
            }
        }
    }
    return {};
}

void add_own_routes(Config& config) {
    for (size_t i = 0; i < config.backends.size(); ++i) {
        config.routes.push_back({.model = config.backends[i].name, .backends = {i}});
    }
}

Result<void> check_whole(const Config& config) {
    WEIR_TRY(refuse_twice(config.backends, "backend", "name",
                          [](const auto& item) { return std::string_view(item.name); }));
    WEIR_TRY(refuse_twice(config.routes, "route", "model",
                          [](const auto& item) { return std::string_view(item.model); }));
    WEIR_TRY(refuse_twice(config.keys, "key", "name",
                          [](const auto& item) { return std::string_view(item.name); }));
    return refuse_same_secret(config.keys);
}

Result<Config> read_config(ConfigTable root, const std::filesystem::path& folder) {
    Config config;
    WEIR_TRY_ASSIGN(auto server, root.table("server"));
    if (server) {
        WEIR_TRY(read_server(*std::move(server), folder, config));
    }
    WEIR_TRY_ASSIGN(auto policy, root.table("policy"));
    if (policy) {
        WEIR_TRY(read_duration(*policy, "scan_deadline_ms", 60'000, config.scan_deadline));
        WEIR_TRY(policy->refuse_unknown());
    }
    WEIR_TRY(root.for_each_table("backend", [&](ConfigTable table) -> Result<void> {
        WEIR_TRY_ASSIGN(config.backends.emplace_back(), read_backend(std::move(table), folder));
        return {};
    }));
    if (config.backends.empty()) {
        config.backends = default_config().backends;
    }
    WEIR_TRY(root.for_each_table("route", [&](ConfigTable table) -> Result<void> {
        WEIR_TRY_ASSIGN(config.routes.emplace_back(),
                        read_route(std::move(table), config.backends));
        return {};
    }));
    WEIR_TRY(root.for_each_table("key", [&](ConfigTable table) -> Result<void> {
        WEIR_TRY_ASSIGN(config.keys.emplace_back(), read_key(std::move(table)));
        return {};
    }));
    WEIR_TRY(root.refuse_unknown());
    WEIR_TRY(check_whole(config));
    if (config.routes.empty()) {
        add_own_routes(config);
    }
    return config;
}

// The name that people know "backend[1]" by: backend "rented". Absent: it has none to show.
std::optional<std::string> readable_table(const json::Value& tree, std::string_view path) {
    const size_t open = path.find('[');
    if (open == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view array = path.substr(0, open);
    size_t index = 0;
    std::from_chars(path.data() + open + 1, path.data() + path.size(), index);
    const json::Value* items = tree.if_object()->find(array);
    if (items == nullptr || items->if_array() == nullptr || index >= items->if_array()->size()) {
        return std::nullopt;
    }
    const json::Object* table = items->if_array()->at(index).if_object();
    const json::Value* named =
        table == nullptr ? nullptr : table->find(array == "route" ? "model" : "name");
    const std::string* name = named == nullptr ? nullptr : named->if_string();
    if (name == nullptr || !is_name(*name)) {
        return std::nullopt;
    }
    return fmt::format("{} \"{}\"", array, *name);
}

// "backend[1].price.input is …" as: line 12: backend "rented": price.input is …
Error readable(Error error, const TomlDocument& document) {
    const std::string& path = error.field;
    const size_t inner = path.find("].");
    const auto table = readable_table(document.tree(), path);
    if (table && inner != std::string::npos && error.message.starts_with(path)) {
        error.message = fmt::format("{}: {}", *table, error.message.substr(inner + 2));
    }
    if (const auto line = document.line_of(path)) {
        error.message = fmt::format("line {}: {}", *line, error.message);
    }
    return error;
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

Result<ListenAddress> parse_listen(std::string_view text) {
    const auto refuse = [] {
        return fail(ErrorCode::InvalidArgument,
                    "not ADDRESS:PORT, such as 127.0.0.1:8080, [::1]:8080 or localhost:8080");
    };
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return refuse();
    }
    std::string host(text.substr(0, colon));
    const std::string_view port = text.substr(colon + 1);
    ListenAddress out;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
        return refuse();
    }
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    out.address = bracketed ? host.substr(1, host.size() - 2) : host;
    out.address = out.address == "localhost" ? "127.0.0.1" : out.address;
    in6_addr ignored{};
    if (::inet_pton(bracketed ? AF_INET6 : AF_INET, out.address.c_str(), &ignored) != 1) {
        return refuse();
    }
    return out;
}

Config default_config() {
    Config config;
    config.backends.push_back({.name = std::string(kEmbeddedModelName),
                               .clearance = chat::Label::Restricted,
                               .source = ModelSource{}});
    add_own_routes(config);
    return config;
}

Result<Config> parse_config(std::string_view toml, const ParseOptions& options) {
    WEIR_TRY_ASSIGN(const TomlDocument document, TomlDocument::parse(toml));
    WEIR_TRY_ASSIGN(auto root, ConfigTable::of(document.tree(), "", options.keys_read));
    Result<Config> config = read_config(std::move(root), options.folder);
    if (!config) {
        return std::unexpected(readable(std::move(config).error(), document));
    }
    return config;
}

Result<Config> load_config(const std::filesystem::path& path) {
    WEIR_TRY(check_readable(path, FileKind::File));
    WEIR_TRY_ASSIGN(const std::string text, read_file(path, kFileBytesMax));
    Result<Config> config =
        parse_config(text, {.folder = std::filesystem::absolute(path).parent_path()});
    if (!config) {
        return std::unexpected(std::move(config).error().with_context(path.string()));
    }
    return config;
}

}  // namespace weir::server

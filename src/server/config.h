#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "chat/label.h"
#include "ledger/keys.h"
#include "ledger/money.h"
#include "net/url.h"

namespace weir::server {

// A model that this machine runs, in a worker of its own.
struct ModelSource {
    std::string path;  // a GGUF file or a Hugging Face folder; empty: the embedded model
    std::optional<uint32_t> context_tokens;  // at most the file's own
    std::optional<uint32_t> cache_tokens;    // KV cache of all sequences together
    std::optional<uint32_t> cache_bits;      // of its numbers: 8, 16 or 32
    std::optional<uint32_t> threads;
};

// A provider that speaks OpenAI's wire format.
struct RemoteSource {
    net::BaseUrl base_url;
    std::string model;        // what the provider calls it
    std::string api_key_env;  // the environment variable with the key; empty: none is sent
    std::string ca_file;      // trusted instead of the system's certificates; empty: the system's
    bool speaks_extensions = false;  // takes vLLM's fields (top_k, min_p, …), as vLLM and Weir do
    std::chrono::milliseconds connect_max{10'000};
    std::chrono::milliseconds first_byte_max{120'000};
    std::chrono::milliseconds between_bytes_max{60'000};
    std::chrono::milliseconds total_max{600'000};
};

struct BackendConfig {
    std::string name;
    chat::Label clearance = chat::Label::Internal;
    std::optional<ledger::Price> price;  // absent: a provider's, and nobody has said it
    std::variant<ModelSource, RemoteSource> source;

    bool is_local() const { return std::holds_alternative<ModelSource>(source); }
};

struct RouteConfig {
    std::string model;             // the name that clients ask for
    std::vector<size_t> backends;  // indices into Config::backends, in order
    std::optional<chat::Label> label;
};

// All that `weir serve` is told. docs/weir.example.toml shows every key.
struct Config {
    std::string listen_address = "127.0.0.1";
    uint16_t listen_port = 8080;
    std::string tls_certificate_file;
    std::string tls_key_file;
    std::vector<std::string> allowed_hosts;  // besides loopback names and the listening address
    std::chrono::seconds drain_max{30};

    std::optional<uint64_t> memory_budget_bytes;  // of all workers; absent: 80 % of the machine's
    std::chrono::seconds idle_unload{600};

    std::chrono::milliseconds scan_deadline{250};

    std::vector<BackendConfig> backends;
    std::vector<RouteConfig> routes;
    std::vector<ledger::ClientKey> keys;
};

// The embedded model alone, under the name "weir-tiny".
Config default_config();

struct ParseOptions {
    std::filesystem::path folder;  // where relative paths start; empty: they stay as they are
    // Set: gets every key that is looked for, as "backend.price.input".
    std::set<std::string>* keys_read = nullptr;
};

// Reads a configuration. Unknown keys, values out of range, names and client keys used twice,
// routes to backends that do not exist, plain HTTP to other machines are refused; the error names
// the line, the table and the key, its `field` is the key's path ("backend[0].path").
//
// Without any route each backend can be asked for by its own name. With one, what routes name is
// all there is: a backend's own name would lead past the label that its route demands.
Result<Config> parse_config(std::string_view toml, const ParseOptions& options = {});

// The same of a file; relative paths in it start at its folder, "~/" is the home folder.
Result<Config> load_config(const std::filesystem::path& path);

// Whether the files that the configuration names are there and can be read: models, certificates,
// keys. Looks at no content. Errors name backend and full path.
Result<void> check_files(const Config& config);

struct ListenAddress {
    std::string address;  // an IP address, without brackets
    uint16_t port = 0;
};

// "127.0.0.1:8080", "[::1]:8080" or "localhost:8080", which is 127.0.0.1. Errors: InvalidArgument.
Result<ListenAddress> parse_listen(std::string_view text);

// "8GiB", "512MiB", "100000" (bytes). Errors: InvalidArgument.
Result<uint64_t> parse_bytes(std::string_view text);

inline constexpr std::string_view kEmbeddedModelName = "weir-tiny";

// The bounds of what a model is run with, in the configuration and on the command line.
inline constexpr uint32_t kThreadsMax = 1024;
inline constexpr uint32_t kContextTokensMax = 1u << 24;
inline constexpr uint32_t kCacheTokensMax = 1u << 28;

}  // namespace weir::server

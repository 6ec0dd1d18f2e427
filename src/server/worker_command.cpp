#include "server/worker_command.h"

#include "json/fields.h"
#include "json/parse.h"

namespace weir::server {

std::vector<std::string> worker_arguments(const ModelSource& source) {
    std::vector<std::string> out;
    const auto give = [&](std::string_view option, const auto& value) {
        if (value) {
            out.insert(out.end(), {std::string(option), std::to_string(*value)});
        }
    };
    if (!source.path.empty()) {
        out.insert(out.end(), {"--model", source.path});
    }
    give("--context-tokens", source.context_tokens);
    give("--cache-tokens", source.cache_tokens);
    give("--cache-bits", source.cache_bits);
    give("--threads", source.threads);
    return out;
}

Result<uint64_t> parse_worker_line(const std::string& line) {
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(line));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, ""));
    std::optional<std::string> error;
    WEIR_TRY(fields.read("error", error));
    if (error) {
        return fail(ErrorCode::Unavailable, "{}", *error);
    }
    std::optional<int64_t> bytes;
    WEIR_TRY(fields.read("memory_bytes", json::in_range<int64_t>(0, INT64_MAX), bytes));
    return static_cast<uint64_t>(bytes.value_or(0));
}

}  // namespace weir::server

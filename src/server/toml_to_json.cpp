#include "server/toml_to_json.h"

#include <algorithm>
#include <string>

#include "base/utf8.h"

// The library asserts, and in a release build tells the compiler to assume, that a table's header
// begins with a key; its parser then handles the case where none does. So: neither.
#define TOML_ASSERT(condition) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace weir::server {
namespace {

constexpr uint32_t kDepthMax = 16;
constexpr uint32_t kLineDotsMax = 64;

// Where the string that begins at `at` ends: the index behind its last quote. An unclosed one ends
// with its line, or with the text.
size_t string_end(std::string_view text, size_t at) {
    const char quote = text[at];
    const std::string three(3, quote);
    const bool is_long = text.substr(at).starts_with(three);
    size_t i = at + (is_long ? 3 : 1);
    for (; i < text.size(); ++i) {
        if (text[i] == '\\' && quote == '"') {
            ++i;
        } else if (!is_long && (text[i] == quote || text[i] == '\n')) {
            return i + (text[i] == quote ? 1 : 0);
        } else if (is_long && text.substr(i).starts_with(three)) {
            // Up to two more quotes belong to the string itself.
            return std::min(text.find_first_not_of(quote, i), std::min(i + 5, text.size()));
        }
    }
    return text.size();
}

// What toml++ must not see outside strings and comments. It makes a table of each part of a dotted
// key and takes them down again by recursion: a key of a hundred thousand parts ends the process.
// And its test for blanks calls some letters unreachable; TOML has no letters there but ASCII's.
Result<void> check_keys(std::string_view text) {
    uint32_t line = 1;
    uint32_t dots = 0;
    for (size_t i = 0; i < text.size();) {
        const char c = text[i];
        size_t next = i + 1;
        if (c == '"' || c == '\'') {
            next = string_end(text, i);
        } else if (c == '#') {
            next = std::min(text.find('\n', i), text.size());
        } else if ((c & 0x80) != 0) {
            return fail(ErrorCode::InvalidArgument, "line {}: a letter that needs quotes", line);
        }
        dots = c == '\n' ? 0 : dots + (c == '.' ? 1 : 0);
        if (dots > kLineDotsMax) {
            return fail(ErrorCode::InvalidArgument, "line {}: more than {} dots in keys", line,
                        kLineDotsMax);
        }
        const std::string_view passed = text.substr(i, next - i);
        line += static_cast<uint32_t>(std::count(passed.begin(), passed.end(), '\n'));
        i = next;
    }
    return {};
}

Result<json::Value> convert(const toml::node& node, uint32_t depth);

Result<json::Value> convert_table(const toml::table& table, uint32_t depth) {
    json::Object object;
    for (const auto& [key, child] : table) {
        WEIR_TRY_ASSIGN(json::Value value, convert(child, depth + 1));
        object.set(std::string(key.str()), std::move(value));
    }
    return json::Value(std::move(object));
}

Result<json::Value> convert_array(const toml::array& array, uint32_t depth) {
    json::Array items;
    for (const toml::node& child : array) {
        WEIR_TRY_ASSIGN(json::Value value, convert(child, depth + 1));
        items.push_back(std::move(value));
    }
    return json::Value(std::move(items));
}

Result<json::Value> convert(const toml::node& node, uint32_t depth) {
    if (depth > kDepthMax) {
        return fail(ErrorCode::InvalidArgument, "line {}: nested deeper than {} levels",
                    node.source().begin.line, kDepthMax);
    }
    if (const auto* table = node.as_table()) {
        return convert_table(*table, depth);
    }
    if (const auto* array = node.as_array()) {
        return convert_array(*array, depth);
    }
    if (const auto* text = node.as_string()) {
        return json::Value(text->get());
    }
    if (const auto* whole = node.as_integer()) {
        return json::Value(int64_t{whole->get()});
    }
    if (const auto* real = node.as_floating_point()) {
        return json::Value(real->get());
    }
    if (const auto* flag = node.as_boolean()) {
        return json::Value(flag->get());
    }
    return fail(ErrorCode::InvalidArgument, "line {}: dates and times have no use here",
                node.source().begin.line);
}

}  // namespace

struct TomlDocument::Parsed {
    toml::table table;
};

TomlDocument::TomlDocument(std::unique_ptr<const Parsed> parsed, json::Value tree)
    : parsed_(std::move(parsed)), tree_(std::move(tree)) {}
TomlDocument::TomlDocument(TomlDocument&&) noexcept = default;
TomlDocument& TomlDocument::operator=(TomlDocument&&) noexcept = default;
TomlDocument::~TomlDocument() = default;

Result<TomlDocument> TomlDocument::parse(std::string_view text) {
    if (!utf8::is_valid(text)) {
        return fail(ErrorCode::InvalidArgument, "this is no UTF-8");
    }
    WEIR_TRY(check_keys(text));
    toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
        return fail(ErrorCode::InvalidArgument, "line {}: {}", parsed.error().source().begin.line,
                    parsed.error().description());
    }
    auto kept = std::make_unique<const Parsed>(Parsed{std::move(parsed).table()});
    WEIR_TRY_ASSIGN(json::Value tree, convert_table(kept->table, 0));
    return TomlDocument(std::move(kept), std::move(tree));
}

std::optional<uint32_t> TomlDocument::line_of(std::string_view path) const {
    while (!path.empty()) {
        if (const auto node = toml::at_path(parsed_->table, path)) {
            return node.node()->source().begin.line;
        }
        const size_t end = path.find_last_of(".[");
        path = path.substr(0, end == std::string_view::npos ? 0 : end);
    }
    return std::nullopt;
}

}  // namespace weir::server

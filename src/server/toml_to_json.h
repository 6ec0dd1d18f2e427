#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace weir::server {

// A TOML text as the JSON value of the same shape, so that one reader of fields serves both, and
// where in the text each of its values stands.
//
// Threads: immutable.
class TomlDocument {
  public:
    // Dates and times are refused, and so is nesting deeper than any configuration has use for.
    // Errors: InvalidArgument with the line.
    static Result<TomlDocument> parse(std::string_view text);

    TomlDocument(TomlDocument&&) noexcept;
    TomlDocument& operator=(TomlDocument&&) noexcept;
    ~TomlDocument();

    const json::Value& tree() const { return tree_; }  // an object

    // The line of "backend[0].price.input", or of the innermost table around it that is there.
    // Absent: there is none but the whole text.
    std::optional<uint32_t> line_of(std::string_view path) const;

  private:
    struct Parsed;
    TomlDocument(std::unique_ptr<const Parsed> parsed, json::Value tree);

    std::unique_ptr<const Parsed> parsed_;
    json::Value tree_;
};

}  // namespace weir::server

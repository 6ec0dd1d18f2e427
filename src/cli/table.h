#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/show.h"

namespace weir::cli {

struct Column {
    std::string_view member;
    std::string_view title;
    int width;
};

// The objects of the array `name` in the JSON object `answer` as a table, one line each; as JSON:
// `answer` as it is. What is absent shows as "-", what is empty as "(none)".
Result<std::string> table_text(const std::string& answer, std::string_view name,
                               std::span<const Column> columns, OutputForm form);

// The same, on standard output.
Result<void> print_table(const std::string& answer, std::string_view name,
                         std::span<const Column> columns, OutputForm form);

}  // namespace weir::cli

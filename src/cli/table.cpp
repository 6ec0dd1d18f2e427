#include "cli/table.h"

#include <fmt/format.h>

#include <cstdio>

#include "json/fields.h"
#include "json/parse.h"

namespace weir::cli {
namespace {

std::string cell(const json::Value* value) {
    if (value == nullptr || value->is_null()) {
        return "-";
    }
    if (const std::string* text = value->if_string()) {
        return text->empty() ? "(none)" : *text;
    }
    if (const auto* number = std::get_if<int64_t>(&value->storage())) {
        return std::to_string(*number);
    }
    return "?";
}

}  // namespace

Result<std::string> table_text(const std::string& answer, std::string_view name,
                               std::span<const Column> columns, OutputForm form) {
    if (form == OutputForm::Json) {
        return answer + "\n";
    }
    WEIR_TRY_ASSIGN(const json::Value value, json::parse(answer));
    WEIR_TRY_ASSIGN(json::Fields fields, json::Fields::of(value, ""));
    WEIR_TRY_ASSIGN(const json::Array* rows, fields.require_array(name));
    std::string out;
    for (const Column& column : columns) {
        out += fmt::format("{:<{}} ", column.title, column.width);
    }
    for (const json::Value& row : *rows) {
        out += '\n';
        for (const Column& column : columns) {
            const json::Object* object = row.if_object();
            out += fmt::format("{:<{}} ",
                               cell(object == nullptr ? nullptr : object->find(column.member)),
                               column.width);
        }
    }
    return out + "\n";
}

Result<void> print_table(const std::string& answer, std::string_view name,
                         std::span<const Column> columns, OutputForm form) {
    WEIR_TRY_ASSIGN(const std::string text, table_text(answer, name, columns, form));
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
}

}  // namespace weir::cli

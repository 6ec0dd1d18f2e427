#include "cli/show.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <variant>
#include <vector>

#include "engine/local_model.h"
#include "json/write.h"
#include "model/encoder.h"
#include "model/family.h"

namespace weir::cli {
namespace {

std::string mebibytes(uint64_t bytes) {
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

// What is shown of any model, in the order in which it is shown.
struct Row {
    std::string_view key;    // of --json
    std::string_view label;  // empty: --json alone
    std::variant<uint64_t, std::string> value;
    std::string text;  // the value for people, where it is written another way
};

std::vector<Row> shape_rows(const model::ModelInfo& info) {
    return {{"architecture", "architecture", info.architecture, {}},
            {"name", "name", info.name, {}},
            {"parameters", "parameters", info.parameters,
             fmt::format("{:.1f} M", static_cast<double>(info.parameters) / 1e6)},
            {"layers", "layers", uint64_t{info.layers}, {}},
            {"hidden", "hidden size", uint64_t{info.hidden}, {}},
            {"vocabulary", "vocabulary", uint64_t{info.vocabulary}, {}},
            {"context_tokens", "context", uint64_t{info.context_tokens},
             fmt::format("{} tokens, of {} that the file allows", info.context_tokens,
                         info.file_context_tokens)},
            {"file_context_tokens", "", uint64_t{info.file_context_tokens}, {}}};
}

Row bytes_row(std::string_view key, std::string_view label, uint64_t bytes) {
    return {key, label, bytes, mebibytes(bytes)};
}

std::vector<Row> rows_of(const engine::LocalModelPlan& plan) {
    std::vector<Row> rows = shape_rows(plan.model.info);
    rows.push_back(
        bytes_row("weights_mapped_bytes", "weights, mapped", plan.model.weights_mapped_bytes));
    rows.push_back(
        bytes_row("weights_copied_bytes", "weights, copied", plan.model.weights_copied_bytes));
    rows.push_back(bytes_row("scratch_bytes", "activations", plan.model.scratch_bytes));
    rows.push_back(bytes_row("logits_bytes", "logits", plan.engine.logits_bytes));
    rows.push_back({"kv_bytes", "KV cache", plan.engine.kv_bytes,
                    fmt::format("{} for all conversations together, {} bytes a token",
                                mebibytes(plan.engine.kv_bytes), plan.model.kv_bytes_per_token)});
    rows.push_back({"kv_bytes_per_token", "", plan.model.kv_bytes_per_token, {}});
    rows.push_back({"kv_table_bytes", "its tables", plan.engine.kv_table_bytes,
                    mebibytes(plan.engine.kv_table_bytes) + " at most"});
    rows.push_back(bytes_row("total_bytes", "all together", plan.total_bytes()));
    return rows;
}

std::vector<Row> rows_of(const model::EncoderPlan& plan) {
    std::vector<Row> rows = shape_rows(plan.info);
    rows.push_back(bytes_row("weights_mapped_bytes", "weights, mapped", plan.weights_mapped_bytes));
    rows.push_back(bytes_row("weights_copied_bytes", "weights, copied", plan.weights_copied_bytes));
    rows.push_back(bytes_row("scratch_bytes", "one text", plan.scratch_bytes));
    rows.push_back(bytes_row("total_bytes", "all together", plan.total_bytes()));
    return rows;
}

// A model without one can be measured, but nobody can talk to it.
Row tokenizer_row(const model::ModelSource& source) {
    const auto tokenizer = engine::load_tokenizer_if_any(source);
    std::string says = "none";
    if (!tokenizer) {
        says = "WRONG: " + tokenizer.error().message;
    } else if (*tokenizer) {
        says = fmt::format("{} tokens", (*tokenizer)->vocab_size());
    }
    return {"tokenizer", "tokenizer", says, {}};
}

std::string as_json(const std::vector<Row>& rows) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object();
    for (const Row& row : rows) {
        std::visit([&](const auto& value) { writer.member(row.key, value); }, row.value);
    }
    writer.end_object();
    return out + "\n";
}

std::string as_text(const std::vector<Row>& rows) {
    std::string out;
    for (const Row& row : rows) {
        if (row.label.empty()) {
            continue;
        }
        const std::string plain =
            std::visit([](const auto& value) { return fmt::format("{}", value); }, row.value);
        out += fmt::format("{:<22}{}\n", row.label, row.text.empty() ? plain : row.text);
    }
    return out;
}

// A model that generates text, or an encoder, which makes a vector of one.
Result<std::vector<Row>> plan_rows(const model::ModelSource& source) {
    WEIR_TRY_ASSIGN(const model::TransformerConfig config, source.config());
    if (config.family->encoder) {
        WEIR_TRY_ASSIGN(const auto plan, model::Encoder::plan(source));
        return rows_of(plan);
    }
    WEIR_TRY_ASSIGN(const auto plan, engine::LocalModel::plan(source, {}));
    return rows_of(plan);
}

}  // namespace

Result<void> show(const ModelAccess& access, const std::string& model, OutputForm form) {
    WEIR_TRY_ASSIGN(const auto source, access.open(model));
    WEIR_TRY_ASSIGN(std::vector<Row> rows, plan_rows(*source));
    rows.push_back(tokenizer_row(*source));
    const std::string text = form == OutputForm::Json ? as_json(rows) : as_text(rows);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
}

}  // namespace weir::cli

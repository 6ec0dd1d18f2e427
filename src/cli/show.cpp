#include "cli/show.h"

#include <fmt/format.h>

#include <cstdio>

#include "engine/local_model.h"
#include "json/write.h"

namespace weir::cli {
namespace {

std::string mebibytes(uint64_t bytes) {
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string as_json(const engine::LocalModelPlan& plan) {
    const model::ModelInfo& info = plan.model.info;
    std::string out;
    json::Writer(out)
        .begin_object()
        .member("architecture", info.architecture)
        .member("name", info.name)
        .member("parameters", info.parameters)
        .member("layers", info.layers)
        .member("hidden", info.hidden)
        .member("vocabulary", info.vocabulary)
        .member("context_tokens", info.context_tokens)
        .member("file_context_tokens", info.file_context_tokens)
        .member("weights_mapped_bytes", plan.model.weights_mapped_bytes)
        .member("weights_copied_bytes", plan.model.weights_copied_bytes)
        .member("scratch_bytes", plan.model.scratch_bytes)
        .member("kv_bytes_per_token", plan.model.kv_bytes_per_token)
        .member("kv_bytes", plan.engine.kv_bytes)
        .member("kv_table_bytes", plan.engine.kv_table_bytes)
        .member("logits_bytes", plan.engine.logits_bytes)
        .member("total_bytes", plan.total_bytes())
        .end_object();
    return out + "\n";
}

std::string as_text(const engine::LocalModelPlan& plan) {
    const model::ModelInfo& info = plan.model.info;
    std::string out;
    const auto row = [&](std::string_view name, const std::string& value) {
        out += fmt::format("{:<22}{}\n", name, value);
    };
    row("architecture", info.architecture);
    row("name", info.name);
    row("parameters", fmt::format("{:.1f} M", static_cast<double>(info.parameters) / 1e6));
    row("layers", std::to_string(info.layers));
    row("hidden size", std::to_string(info.hidden));
    row("vocabulary", std::to_string(info.vocabulary));
    row("context", fmt::format("{} tokens, of {} that the file allows", info.context_tokens,
                               info.file_context_tokens));
    row("weights, mapped", mebibytes(plan.model.weights_mapped_bytes));
    row("weights, copied", mebibytes(plan.model.weights_copied_bytes));
    row("activations", mebibytes(plan.model.scratch_bytes));
    row("logits", mebibytes(plan.engine.logits_bytes));
    row("KV cache", fmt::format("{} for all conversations together, {} bytes a token",
                                mebibytes(plan.engine.kv_bytes), plan.model.kv_bytes_per_token));
    row("its tables", fmt::format("{} at most", mebibytes(plan.engine.kv_table_bytes)));
    row("all together", mebibytes(plan.total_bytes()));
    return out;
}

}  // namespace

Result<void> show(const ModelAccess& access, const std::string& model, OutputForm form) {
    WEIR_TRY_ASSIGN(const auto source, access.open(model));
    WEIR_TRY_ASSIGN(const auto plan, engine::LocalModel::plan(*source, {}));
    const std::string text = form == OutputForm::Json ? as_json(plan) : as_text(plan);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return {};
}

}  // namespace weir::cli

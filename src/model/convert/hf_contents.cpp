#include "model/convert/hf_contents.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "json/write.h"
#include "model/convert/hf_config.h"
#include "model/convert/mxfp4_parts.h"
#include "model/convert/same_config.h"
#include "model/convert/value_heads.h"
#include "model/family.h"

namespace weir::model {

namespace {

using tensor::DType;

bool is_norm(std::string_view kind) {
    constexpr std::string_view kNorms[] = {"attn_norm.weight",           "ffn_norm.weight",
                                           "post_attention_norm.weight", "post_ffw_norm.weight",
                                           "attn_q_norm.weight",         "attn_k_norm.weight",
                                           "output_norm.weight"};
    return std::ranges::find(kNorms, kind) != std::end(kNorms);
}

// The other way round than GGUF's converters: pairs (2i, 2i + 1) to (i, i + d / 2).
uint64_t pair_of_half(uint64_t index, uint64_t head_dim) {
    const uint64_t in_head = index % head_dim;
    const uint64_t half = head_dim / 2;
    return index - in_head + 2 * (in_head % half) + in_head / half;
}

// x with -exp(x), rounded, equal to `rate`, or the nearest there is.
float log_of_rate(float rate) {
    const auto guess = static_cast<float>(std::log(static_cast<double>(-rate)));
    float below = guess;
    float above = guess;
    for (int i = 0; i < 4; ++i) {
        for (const float x : {below, above}) {
            if (static_cast<float>(-std::exp(static_cast<double>(x))) == rate) {
                return x;
            }
        }
        below = std::nextafter(below, -INFINITY);
        above = std::nextafter(above, INFINITY);
    }
    return guess;
}

// A norm without its offset. Fails where float32 cannot say it.
OutputTensor without_offset(OutputTensor tensor, float offset, std::string_view source) {
    OutputTensor out = widened(std::move(tensor));
    out.open = [open = std::move(out.open), offset, rows = out.rows(), columns = out.columns(),
                source = std::string(source)]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(const RowReader read, open());
        std::vector<float> values(columns);
        for (uint64_t row = 0; row < rows; ++row) {
            read(row, std::as_writable_bytes(std::span(values)));
            for (const float w : values) {
                if (w - offset + offset != w) {
                    return unsupported("tensor {}: {} without {} is no float32 number", source, w,
                                       offset);
                }
            }
        }
        return RowReader([read, offset](uint64_t row, std::span<std::byte> to) {
            std::vector<float> own(to.size() / sizeof(float));
            read(row, std::as_writable_bytes(std::span(own)));
            for (float& w : own) {
                w -= offset;
            }
            std::memcpy(to.data(), own.data(), to.size());
        });
    };
    return out;
}

class FolderPlanner {
  public:
    // `made` is what config.json says.
    FolderPlanner(const TensorIndex& index, const TransformerConfig& config,
                  const TransformerConfig& made)
        : index_(index),
          config_(config),
          made_(made),
          keeps_mxfp4_(made.packing == WeightPacking::Mxfp4) {}

    Result<std::vector<OutputTensor>> plan() {
        for (const StoredTensor& tensor : index_.tensors()) {
            WEIR_TRY(add_stored(tensor));
        }
        std::ranges::sort(out_, {}, &OutputTensor::name);
        return std::move(out_);
    }

  private:
    Result<void> add_stored(const StoredTensor& tensor) {
        const std::string_view name = tensor.name;
        if (name.starts_with("rope_f") || is_drafting(name)) {
            return {};  // config.json says the first; the second is left alone
        }
        const size_t dot = name.starts_with("blk.") ? name.find('.', 4) : std::string_view::npos;
        const std::string prefix(dot == std::string_view::npos ? "" : name.substr(0, dot + 1));
        const std::string_view kind = name.substr(prefix.size());
        if (kind.find("_exps.") != std::string_view::npos && !kind.ends_with(".scale")) {
            return add_experts(tensor, prefix, kind);
        }
        if (kind == "attn_k_b.weight" || kind == "attn_v_b.weight") {
            return kind == "attn_v_b.weight" || has(prefix + "attn_kv_b.weight")
                       ? Result<void>()
                       : add_kv_b(tensor, prefix);
        }
        if (made_.architecture == "stablelm" && tensor.shape.size() == 2 && is_norm(kind)) {
            return add_head_vectors(tensor, prefix, kind);
        }
        std::string called(kind);
        if (config_.architecture == "gpt-oss" && kind == "post_attention_norm.weight") {
            called = "ffn_norm.weight";
        }
        return add(prefix + called, kind, as_stored(tensor, ""), name);
    }

    bool has(const std::string& name) const { return index_.find(name) != nullptr; }

    bool is_drafting(std::string_view name) const {
        for (uint32_t i = 0; i < config_.draft_layers; ++i) {
            if (name.starts_with(fmt::format("blk.{}.", config_.layers + i))) {
                return true;
            }
        }
        return false;
    }

    Result<void> add(const std::string& gguf_name, std::string_view kind, OutputTensor tensor,
                     std::string_view source) {
        std::string name = hugging_face_name(gguf_name, *made_.family);
        if (name == gguf_name) {
            return unsupported("tensor {}: safetensors of a {} model have no such tensor", source,
                               config_.architecture);
        }
        if (kind == "ssm_conv1d.weight") {
            tensor.shape.insert(tensor.shape.begin() + 1, 1);
        }
        if (made_.norm_offset != 0 && is_norm(kind)) {
            tensor = without_offset(std::move(tensor), made_.norm_offset, source);
        }
        if (made_.qk_rows == QkRows::HalvesToAdjacent &&
            (kind.starts_with("attn_q.") || kind.starts_with("attn_k."))) {
            tensor = by_index(std::move(tensor),
                              [d = config_.head_dim](uint64_t i) { return pair_of_half(i, d); });
        }
        if (config_.delta_net && kind == "ssm_a") {
            tensor = transformed(std::move(tensor), log_of_rate);
        }
        tensor = with_value_heads(HeadOrder::Folder, kind, config_, std::move(tensor));
        tensor.name = std::move(name);
        push(std::move(tensor));
        return {};
    }

    void push(OutputTensor tensor) {
        const bool is_sayable = !tensor.raw_shape.empty() || tensor.dtype == DType::F32 ||
                                tensor.dtype == DType::F16 || tensor.dtype == DType::BF16;
        out_.push_back(is_sayable ? std::move(tensor) : widened(std::move(tensor)));
    }

    Result<void> add_head_vectors(const StoredTensor& tensor, const std::string& prefix,
                                  std::string_view kind) {
        const std::string_view stem = kind.substr(0, kind.rfind('.'));
        for (uint64_t head = 0; head < tensor.shape[0]; ++head) {
            OutputTensor one = with_rows(as_stored(tensor, ""), {tensor.shape[1]},
                                         [head](uint64_t) { return head; });
            WEIR_TRY(add(fmt::format("{}{}.{}.weight", prefix, stem, head), "", std::move(one),
                         tensor.name));
        }
        return {};
    }

    // Keys [heads, rank, nope] and values [heads, value, rank] as the rows of one matrix.
    Result<void> add_kv_b(const StoredTensor& keys, const std::string& prefix) {
        const StoredTensor* values = index_.find(prefix + "attn_v_b.weight");
        if (values == nullptr) {
            return data_corrupt("tensor {}attn_v_b.weight is missing", prefix);
        }
        OutputTensor k = transposed(as_stored(keys, ""));
        OutputTensor v = as_stored(*values, "");
        if (k.dtype != v.dtype) {
            k = widened(std::move(k));
            v = widened(std::move(v));
        }
        const uint64_t nope = k.shape[1];
        const uint64_t all = nope + v.shape[1];
        OutputTensor out{"", {k.shape[0] * all, k.columns()}, k.dtype, {}};
        out.open = [k, v, nope, all]() -> Result<RowReader> {
            WEIR_TRY_ASSIGN(const RowReader of_keys, k.open());
            WEIR_TRY_ASSIGN(const RowReader of_values, v.open());
            return RowReader([=](uint64_t row, std::span<std::byte> to) {
                const uint64_t head = row / all;
                const uint64_t r = row % all;
                if (r < nope) {
                    of_keys(head * nope + r, to);
                } else {
                    of_values(head * (all - nope) + r - nope, to);
                }
            });
        };
        return add(prefix + "attn_kv_b.weight", "attn_kv_b.weight", std::move(out), keys.name);
    }

    // ---- experts ----

    Result<void> add_experts(const StoredTensor& tensor, const std::string& prefix,
                             std::string_view kind) {
        if (is_packed(prefix)) {
            return add_packed(tensor, prefix, kind);
        }
        if (!kind.ends_with("_exps.weight") || tensor.shape.size() != 3) {
            return unsupported("tensor {}: safetensors of a {} model have no such tensor",
                               tensor.name, config_.architecture);
        }
        const std::string_view stem = kind.substr(0, kind.find("_exps"));
        const uint64_t rows = tensor.shape[1];
        for (uint64_t e = 0; e < tensor.shape[0]; ++e) {
            OutputTensor one = with_rows(as_stored(tensor, ""), {rows, tensor.shape[2]},
                                         [e, rows](uint64_t row) { return e * rows + row; });
            WEIR_TRY(add(fmt::format("{}{}.{}.weight", prefix, stem, e), kind, std::move(one),
                         tensor.name));
        }
        return {};
    }

    // Whether the family's safetensors have gate and up of all experts in one tensor. Where the
    // file has them so already, they stay: every family's may.
    bool is_packed(const std::string& prefix) const {
        const auto is_numbered = [](const TensorName& name) {
            return name.gguf == "ffn_gate.#";
        };
        return has(prefix + "ffn_gate_up_exps.weight") ||
               (made_.moe && made_.moe->rows != ExpertRows::OutIn) ||
               std::ranges::none_of(made_.family->names, is_numbered);
    }

    // The outputs as rows, or as columns, as the family has it.
    OutputTensor laid_out(OutputTensor tensor) const {
        return made_.moe && made_.moe->rows != ExpertRows::OutIn ? transposed(std::move(tensor))
                                                                 : std::move(tensor);
    }

    Result<void> add_packed(const StoredTensor& tensor, const std::string& prefix,
                            std::string_view kind) {
        if (kind.starts_with("ffn_up_exps.")) {
            return {};  // goes with the gate
        }
        const bool is_bias = kind.ends_with(".bias");
        OutputTensor one = as_stored(tensor, "");
        if (keeps_mxfp4_ && kind == "ffn_down_exps.weight") {
            return add_mxfp4(prefix + std::string(kind), std::move(one), tensor.name);
        }
        if (kind.starts_with("ffn_down_exps.") || kind.starts_with("ffn_gate_up_exps.")) {
            return add(prefix + std::string(kind), kind,
                       is_bias ? std::move(one) : laid_out(std::move(one)), tensor.name);
        }
        const std::string up_name = prefix + (is_bias ? "ffn_up_exps.bias" : "ffn_up_exps.weight");
        const StoredTensor* up = index_.find(up_name);
        if (up == nullptr || up->shape != tensor.shape) {
            return data_corrupt("tensor {}: it has to be there, shaped as {}", up_name,
                                tensor.name);
        }
        return add_gate_up(prefix, is_bias, tensor, *up);
    }

    Result<void> add_gate_up(const std::string& prefix, bool is_bias, const StoredTensor& gate,
                             const StoredTensor& up) {
        const uint64_t width = made_.moe->width;
        const uint64_t experts = gate.shape[0];
        const bool by_turns = made_.moe->rows == ExpertRows::InOutInterleaved;
        OutputTensor a = as_stored(gate, "");
        OutputTensor b = as_stored(up, "");
        if (is_bias) {
            a = reshaped(widened(std::move(a)), {experts, width, 1});
            b = reshaped(widened(std::move(b)), {experts, width, 1});
        }
        const uint64_t columns = a.columns();
        OutputTensor both =
            stacked({std::move(a), std::move(b)}, "", {2 * experts * width, columns});
        both = with_rows(std::move(both), {experts, 2 * width, columns}, [=](uint64_t row) {
            const uint64_t r = row % (2 * width);
            const uint64_t half = by_turns ? r % 2 : r / width;
            return half * experts * width + row / (2 * width) * width +
                   (by_turns ? r / 2 : r % width);
        });
        if (is_bias) {
            return add(prefix + "ffn_gate_up_exps.bias", "",
                       reshaped(std::move(both), {experts, 2 * width}), gate.name);
        }
        const std::string name = prefix + "ffn_gate_up_exps.weight";
        return keeps_mxfp4_ ? add_mxfp4(name, std::move(both), gate.name)
                            : add(name, "", laid_out(std::move(both)), gate.name);
    }

    // As blocks and scales. Their rows are the outputs, whatever the family's other files do.
    Result<void> add_mxfp4(const std::string& gguf_name, OutputTensor stack,
                           std::string_view source) {
        const size_t before = out_.size();
        WEIR_TRY(add(gguf_name, "", mxfp4_blocks(stack), source));
        WEIR_TRY(add(gguf_name, "", mxfp4_scales(std::move(stack)), source));
        out_[before].name += "_blocks";
        out_[before + 1].name += "_scales";
        return {};
    }

    const TensorIndex& index_;
    const TransformerConfig& config_;
    const TransformerConfig& made_;
    const bool keeps_mxfp4_;
    std::vector<OutputTensor> out_;
};

std::string_view name_of(const OutputTensor& tensor) {
    return !tensor.raw_shape.empty()    ? "U8"
           : tensor.dtype == DType::F32 ? "F32"
           : tensor.dtype == DType::F16 ? "F16"
                                        : "BF16";
}

}  // namespace

Result<FolderContents> folder_contents_of(const ModelSource& source) {
    if (source.gguf() == nullptr) {
        return fail(ErrorCode::InvalidArgument, "it is a folder already");
    }
    if (source.gguf()->tensors().empty()) {
        return fail(ErrorCode::NotFound, "the file has no weights");
    }
    WEIR_TRY_ASSIGN(const TransformerConfig config, source.config());
    FolderContents out;
    out.index = std::make_shared<const TensorIndex>(source.tensors(config));
    WEIR_TRY(check_tensors(*out.index, config));
    WEIR_TRY_ASSIGN(out.config, config_json_of(config, *out.index));
    WEIR_TRY_ASSIGN(const TransformerConfig made, config_from_json(out.config));
    WEIR_TRY(check_same_config(config, made, "config.json"));
    WEIR_TRY_ASSIGN(out.tensors, FolderPlanner(*out.index, config, made).plan());
    return out;
}

Result<void> write_safetensors(std::span<const OutputTensor> tensors, kernels::ThreadPool& pool,
                               const ByteSink& sink, const Progress& progress) {
    std::string header;
    json::Writer writer(header);
    writer.begin_object().key("__metadata__").begin_object().member("format", "pt").end_object();
    uint64_t total = 0;
    for (const OutputTensor& tensor : tensors) {
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(tensor.dtype, tensor.columns()));
        const uint64_t bytes = stride * tensor.rows();
        writer.key(tensor.name).begin_object().member("dtype", name_of(tensor));
        writer.key("shape").begin_array();
        for (const uint64_t extent : tensor.raw_shape.empty() ? tensor.shape : tensor.raw_shape) {
            writer.value(extent);
        }
        writer.end_array().key("data_offsets").begin_array().value(total).value(total + bytes);
        writer.end_array().end_object();
        total += bytes;
    }
    writer.end_object();
    header.append((8 - header.size() % 8) % 8, ' ');  // so that the data begins at a multiple
    const uint64_t size = header.size();
    WEIR_TRY(sink(std::as_bytes(std::span(&size, 1))));
    WEIR_TRY(sink(std::as_bytes(std::span(header.data(), header.size()))));
    uint64_t done = 0;
    for (const OutputTensor& tensor : tensors) {
        WEIR_TRY(write_rows(tensor, tensor.dtype, pool, sink));
        WEIR_TRY_ASSIGN(const uint64_t stride, tensor::row_bytes(tensor.dtype, tensor.columns()));
        done += stride * tensor.rows();
        progress(done, total);
    }
    return {};
}

}  // namespace weir::model

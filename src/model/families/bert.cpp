#include <array>
#include <string>

#include "model/config_gguf.h"
#include "model/config_json.h"
#include "model/families/families.h"

// BERT and its descendants for embeddings: MiniLM, BGE, E5 (Devlin et al. 2018). An encoder.
//
//   x = layernorm(word[id] + type[0] + position[p])
//   x = layernorm(x + Wo attention(Wq x, Wk x, Wv x))      scale 1 / sqrt(head_dim), all see all
//   x = layernorm(x + W2 gelu(W1 x))                       gelu by the error function
//
// Biases everywhere, in the norms too; no rotation, no norm behind the last layer. Of a checkpoint
// that has them, the pooler and the heads of its training are left alone.
//
// RoBERTa and XLM-R (BGE-M3, multilingual E5): the same, but positions begin behind the padding
// token's number (1, so at 2), and max_position_embeddings counts the rows before. Converters to
// GGUF cut these off, and call it bert.
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kNames = {"bert"};
constexpr std::array<std::string_view, 3> kRobertaTypes = {"roberta", "xlm-roberta", "camembert"};
constexpr std::array kTensorNames = {
    TensorName{"token_embd", "embeddings.word_embeddings"},
    TensorName{"position_embd", "embeddings.position_embeddings"},
    TensorName{"token_types", "embeddings.token_type_embeddings"},
    TensorName{"token_embd_norm", "embeddings.LayerNorm"},
    TensorName{"attn_q", "attention.self.query"},
    TensorName{"attn_k", "attention.self.key"},
    TensorName{"attn_v", "attention.self.value"},
    TensorName{"attn_output", "attention.output.dense"},
    TensorName{"attn_output_norm", "attention.output.LayerNorm"},
    TensorName{"ffn_up", "intermediate.dense"},
    TensorName{"ffn_down", "output.dense"},
    TensorName{"layer_output_norm", "output.LayerNorm"},
};
constexpr std::array<std::string_view, 12> kUnused = {
    "embeddings.position_ids",
    "pooler.dense.weight",
    "pooler.dense.bias",
    "cls.predictions.bias",
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
    "cls.predictions.transform.dense.weight",
    "cls.predictions.transform.dense.bias",
    "cls.predictions.transform.LayerNorm.weight",
    "cls.predictions.transform.LayerNorm.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
};

constexpr std::array<std::string_view, 10> kRobertaUnused = {
    "embeddings.position_ids", "pooler.dense.weight",
    "pooler.dense.bias",       "lm_head.dense.weight",
    "lm_head.dense.bias",      "lm_head.layer_norm.weight",
    "lm_head.layer_norm.bias", "lm_head.decoder.weight",
    "lm_head.decoder.bias",    "lm_head.bias",
};
constexpr uint32_t kPaddingDefault = 1;
constexpr uint32_t kTypesDefault = 2;

void start(TransformerConfig& out) {
    out.norm = NormKind::Layer;
    out.norm_bias = BiasRule::Always;
    out.block = BlockForm::NormBehind;
    out.qkv_bias = BiasRule::Always;
    out.output_bias = BiasRule::Always;
    out.mlp_bias = BiasRule::Always;
    out.mlp = MlpForm::Plain;
    for (LayerConfig& layer : out.layer) {
        layer.rope.reset();
    }
}

Result<void> set_token_types(std::optional<uint64_t> said, std::string_view name,
                             TransformerConfig& out) {
    const uint64_t types = said.value_or(kTypesDefault);
    if (types == 0 || types > kTokenTypesMax) {
        return data_corrupt("{} is {}; 1 to {} are allowed", name, types, kTokenTypesMax);
    }
    out.token_types = static_cast<uint32_t>(types);
    return {};
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    start(out);
    out.activation = Activation::Gelu;
    constexpr std::string_view kTypes = "tokenizer.ggml.token_type_count";
    WEIR_TRY_ASSIGN(const auto types, in.file().find_unsigned(kTypes));
    WEIR_TRY(set_token_types(types, kTypes, out));
    for (const LayerConfig& layer : out.layer) {
        if (layer.kv_heads != out.kv_heads) {
            return unsupported("key {}: layers of different shapes are not supported",
                               in.key("attention.head_count_kv"));
        }
        if (layer.visible.sight != Sight::All) {
            return unsupported("key {}: not supported for this family",
                               in.key("attention.sliding_window"));
        }
    }
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    start(out);
    WEIR_TRY_ASSIGN(const auto types, in.size("type_vocab_size"));
    WEIR_TRY(set_token_types(types, in.fields().path_of("type_vocab_size"), out));
    WEIR_TRY_ASSIGN(const bool decoder, in.flag("is_decoder"));
    if (decoder) {
        return unsupported("{}: only encoders of this family are supported",
                           in.fields().path_of("is_decoder"));
    }
    std::string positions = "absolute";
    WEIR_TRY(in.fields().read("position_embedding_type", positions));
    if (positions != "absolute") {
        return unsupported("{}: \"{}\" is not supported",
                           in.fields().path_of("position_embedding_type"), positions);
    }
    return {};
}

Result<void> finish_roberta_json(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY(finish_json(in, out));
    WEIR_TRY_ASSIGN(const auto padding, in.size("pad_token_id"));
    out.padding = padding.value_or(kPaddingDefault);
    if (*out.padding >= out.vocabulary || *out.padding + 1 >= out.context_tokens) {
        return data_corrupt("{}: {}, where there are {} tokens and {} positions",
                            in.fields().path_of("pad_token_id"), *out.padding, out.vocabulary,
                            out.context_tokens);
    }
    out.context_tokens -= *out.padding + 1;
    return {};
}

// What both rows say.
constexpr Family kEncoder{.finish_json = finish_json,
                          .json = {.epsilon_name = "layer_norm_eps",
                                   .epsilon = 1e-12,
                                   .activation = Activation::Gelu,
                                   .tied = true},
                          .names = kTensorNames,
                          .layers = "encoder.layer.",
                          .encoder = true};

}  // namespace

const Family& bert_family() {
    static constexpr Family kFamily = [] {
        Family family = kEncoder;
        family.gguf_architectures = kNames;
        family.model_types = kNames;
        family.finish_gguf = finish_gguf;
        family.may_begin_with = "bert.";
        family.unused = kUnused;
        return family;
    }();
    return kFamily;
}

const Family& roberta_family() {
    static constexpr Family kFamily = [] {
        Family family = kEncoder;
        family.model_types = kRobertaTypes;
        family.finish_json = finish_roberta_json;
        family.architecture = kNames[0];
        family.may_begin_with = "roberta.";
        family.unused = kRobertaUnused;
        return family;
    }();
    return kFamily;
}

}  // namespace weir::model

#include "model/encoder.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <string>

#include "json/parse.h"
#include "json/write.h"
#include "kernels/thread_pool.h"
#include "model/convert/gguf_contents.h"
#include "model/convert/hf_contents.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/safetensors_writer.h"
#include "model/testing/temporary_folder.h"

namespace weir::model {
namespace {

using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::SafetensorsItem;
using testing::TemporaryFolder;
using Vector = std::vector<double>;

constexpr uint32_t kLayers = 2;
constexpr uint32_t kHidden = 32;
constexpr uint32_t kHeads = 4;
constexpr uint32_t kWidth = 48;
constexpr uint32_t kVocabulary = 61;
constexpr uint32_t kContext = 40;
constexpr double kEpsilon = 1e-5;

struct Tensor {
    std::string hugging_face;
    std::string gguf;
    std::vector<uint64_t> shape;
    std::vector<float> values;
};

// What RoBERTa has: one segment, and positions from behind the padding token's number.
constexpr uint32_t kPadding = 1;
enum class Kind : uint8_t { Bert, Roberta };

// BERT's tensors by both names, as published checkpoints and converters have them.
class TinyBert {
  public:
    explicit TinyBert(Kind kind = Kind::Bert) : kind_(kind) {
        matrix("embeddings.word_embeddings", "token_embd", kVocabulary, kHidden);
        matrix("embeddings.position_embeddings", "position_embd", kContext, kHidden);
        matrix("embeddings.token_type_embeddings", "token_types", types(), kHidden);
        norm("embeddings.LayerNorm", "token_embd_norm");
        for (uint32_t i = 0; i < kLayers; ++i) {
            const std::string hf = fmt::format("encoder.layer.{}.", i);
            const std::string gguf = fmt::format("blk.{}.", i);
            linear(hf + "attention.self.query", gguf + "attn_q", kHidden, kHidden);
            linear(hf + "attention.self.key", gguf + "attn_k", kHidden, kHidden);
            linear(hf + "attention.self.value", gguf + "attn_v", kHidden, kHidden);
            linear(hf + "attention.output.dense", gguf + "attn_output", kHidden, kHidden);
            norm(hf + "attention.output.LayerNorm", gguf + "attn_output_norm");
            linear(hf + "intermediate.dense", gguf + "ffn_up", kWidth, kHidden);
            linear(hf + "output.dense", gguf + "ffn_down", kHidden, kWidth);
            norm(hf + "output.LayerNorm", gguf + "layer_output_norm");
        }
    }

    // `norms`: what the weights of norms end in, "weight" or, long ago, "gamma" (and "beta").
    void write_folder(const TemporaryFolder& folder, const std::string& prefix,
                      const std::string& norms = "weight") const {
        folder.write("config.json", fmt::format(R"({{"model_type": "{}", "hidden_act": "gelu",
            "num_hidden_layers": {}, "hidden_size": {}, "num_attention_heads": {},
            "intermediate_size": {}, "vocab_size": {}, "max_position_embeddings": {},
            "type_vocab_size": {}, "layer_norm_eps": {}, "pad_token_id": {}}})",
                                                kind_ == Kind::Bert ? "bert" : "xlm-roberta",
                                                kLayers, kHidden, kHeads, kWidth, kVocabulary,
                                                kContext, types(), kEpsilon, kPadding));
        std::vector<SafetensorsItem> items;
        for (const Tensor& tensor : tensors_) {
            std::string name = prefix + tensor.hugging_face;
            if (const size_t at = name.rfind("LayerNorm."); norms == "gamma" && at != name.npos) {
                name.resize(at + 10);
                name += tensor.hugging_face.ends_with("weight") ? "gamma" : "beta";
            }
            items.push_back({name, "F32", tensor.shape, bytes(tensor)});
        }
        const std::vector<std::byte> zeros(kHidden * 4);
        items.push_back({prefix + "pooler.dense.bias", "F32", {kHidden}, zeros});
        const auto file = testing::safetensors_file(items);
        folder.write("model.safetensors",
                     std::string(reinterpret_cast<const char*>(file.data()), file.size()));
    }

    std::vector<std::byte> gguf() const {
        GgufWriter file;
        file.add_text("general.architecture", "bert");
        file.add_u32("bert.block_count", kLayers);
        file.add_u32("bert.context_length", kContext);
        file.add_u32("bert.embedding_length", kHidden);
        file.add_u32("bert.feed_forward_length", kWidth);
        file.add_u32("bert.attention.head_count", kHeads);
        file.add_f32("bert.attention.layer_norm_epsilon", static_cast<float>(kEpsilon));
        file.add_bool("bert.attention.causal", false);
        file.add_u32("bert.pooling_type", 1);
        file.add_u32("bert.vocab_size", kVocabulary);
        file.add_u32("tokenizer.ggml.token_type_count", 2);
        for (const Tensor& tensor : tensors_) {
            file.add_tensor(tensor.gguf, tensor.shape, 0, bytes(tensor));
        }
        return file.finish();
    }

    // The vectors of all tokens, in double precision.
    std::vector<Vector> run(const std::vector<TokenId>& tokens) const {
        std::vector<Vector> x;
        for (size_t t = 0; t < tokens.size(); ++t) {
            Vector row = values("token_embd.weight", tokens[t] * kHidden, kHidden);
            add(row, values("position_embd.weight", position(tokens, t) * kHidden, kHidden));
            add(row, values("token_types.weight", 0, kHidden));
            x.push_back(normed("token_embd_norm", row));
        }
        for (uint32_t i = 0; i < kLayers; ++i) {
            layer(fmt::format("blk.{}.", i), x);
        }
        return x;
    }

  private:
    uint32_t types() const { return kind_ == Kind::Bert ? 2 : 1; }

    // The tokens so far that are no padding, counted from the padding's number.
    size_t position(const std::vector<TokenId>& tokens, size_t t) const {
        if (kind_ == Kind::Bert || tokens[t] == kPadding) {
            return kind_ == Kind::Bert ? t : kPadding;
        }
        const auto end = tokens.begin() + static_cast<std::ptrdiff_t>(t + 1);
        const auto padding = std::count(tokens.begin(), end, kPadding);
        return t + 1 - static_cast<size_t>(padding) + kPadding;
    }

    static std::vector<std::byte> bytes(const Tensor& tensor) {
        std::vector<std::byte> out(tensor.values.size() * sizeof(float));
        std::memcpy(out.data(), tensor.values.data(), out.size());
        return out;
    }

    void add_tensor(const std::string& hf, const std::string& gguf, std::vector<uint64_t> shape,
                    float offset, float deviation) {
        std::normal_distribution<float> number(offset, deviation);
        Tensor& tensor = tensors_.emplace_back(Tensor{hf, gguf, std::move(shape), {}});
        size_t count = 1;
        for (const uint64_t extent : tensor.shape) {
            count *= extent;
        }
        for (size_t i = 0; i < count; ++i) {
            tensor.values.push_back(number(random_));
        }
    }
    void matrix(const std::string& hf, const std::string& gguf, uint64_t rows, uint64_t columns) {
        add_tensor(hf + ".weight", gguf + ".weight", {rows, columns}, 0, 0.25f);
    }
    void linear(const std::string& hf, const std::string& gguf, uint64_t rows, uint64_t columns) {
        matrix(hf, gguf, rows, columns);
        add_tensor(hf + ".bias", gguf + ".bias", {rows}, 0, 0.2f);
    }
    void norm(const std::string& hf, const std::string& gguf) {
        add_tensor(hf + ".weight", gguf + ".weight", {kHidden}, 1, 0.3f);
        add_tensor(hf + ".bias", gguf + ".bias", {kHidden}, 0, 0.3f);
    }

    const Tensor& tensor(const std::string& gguf) const {
        return *std::ranges::find(tensors_, gguf, &Tensor::gguf);
    }
    Vector values(const std::string& gguf, size_t begin, size_t count) const {
        const auto first = tensor(gguf).values.begin() + static_cast<std::ptrdiff_t>(begin);
        return {first, first + static_cast<std::ptrdiff_t>(count)};
    }
    static void add(Vector& to, const Vector& what) {
        for (size_t i = 0; i < to.size(); ++i) {
            to[i] += what[i];
        }
    }
    Vector product(const std::string& name, const Vector& x) const {
        const std::vector<float>& weight = tensor(name + ".weight").values;
        const std::vector<float>& bias = tensor(name + ".bias").values;
        Vector out(bias.begin(), bias.end());
        for (size_t row = 0; row < out.size(); ++row) {
            for (size_t i = 0; i < x.size(); ++i) {
                out[row] += double{weight[row * x.size() + i]} * x[i];
            }
        }
        return out;
    }
    Vector normed(const std::string& name, const Vector& x) const {
        double mean = 0;
        double variance = 0;
        for (const double value : x) {
            mean += value / kHidden;
        }
        for (const double value : x) {
            variance += (value - mean) * (value - mean) / kHidden;
        }
        Vector out;
        for (size_t i = 0; i < x.size(); ++i) {
            out.push_back((x[i] - mean) / std::sqrt(variance + kEpsilon) *
                              double{tensor(name + ".weight").values[i]} +
                          double{tensor(name + ".bias").values[i]});
        }
        return out;
    }

    void layer(const std::string& prefix, std::vector<Vector>& x) const {
        std::vector<Vector> q, k, v;
        for (const Vector& row : x) {
            q.push_back(product(prefix + "attn_q", row));
            k.push_back(product(prefix + "attn_k", row));
            v.push_back(product(prefix + "attn_v", row));
        }
        for (size_t t = 0; t < x.size(); ++t) {
            Vector mixed(kHidden);
            for (uint32_t head = 0; head < kHeads; ++head) {
                attend(q[t], k, v, head * kHidden / kHeads, mixed);
            }
            add(x[t], product(prefix + "attn_output", mixed));
            x[t] = normed(prefix + "attn_output_norm", x[t]);
        }
        for (Vector& row : x) {
            Vector up = product(prefix + "ffn_up", row);
            for (double& value : up) {
                value = value / 2 * (1 + std::erf(value / std::sqrt(2.0)));
            }
            add(row, product(prefix + "ffn_down", up));
            row = normed(prefix + "layer_output_norm", row);
        }
    }

    static void attend(const Vector& q, const std::vector<Vector>& k, const std::vector<Vector>& v,
                       size_t at, Vector& out) {
        constexpr size_t kDim = kHidden / kHeads;
        Vector weights;
        double sum = 0;
        for (const Vector& key : k) {
            double score = 0;
            for (size_t d = at; d < at + kDim; ++d) {
                score += q[d] * key[d];
            }
            weights.push_back(std::exp(score / std::sqrt(static_cast<double>(kDim))));
            sum += weights.back();
        }
        for (size_t j = 0; j < v.size(); ++j) {
            for (size_t d = at; d < at + kDim; ++d) {
                out[d] += weights[j] / sum * v[j][d];
            }
        }
    }

    const Kind kind_;
    std::mt19937_64 random_{3};
    std::vector<Tensor> tensors_;
};

const std::vector<TokenId> kTokens = {5, 60, 0,  17, 17, 33, 2,  41, 8,
                                      9, 10, 11, 12, 13, 14, 15, 16, 18};

struct Loaded {
    explicit Loaded(ModelSource::Pointer source, size_t threads = 1)
        : pool(threads),
          encoder(*Encoder::load(std::move(source), {*kernels::available_kernels().back(), pool})) {
    }

    std::vector<float> encode(const std::vector<TokenId>& tokens, Pooling pooling) {
        std::vector<float> out(encoder->hidden());
        const auto done = encoder->encode(tokens, pooling, out);
        EXPECT_TRUE(done.has_value()) << done.error().message;
        return out;
    }

    kernels::ThreadPool pool;
    std::unique_ptr<Encoder> encoder;
};

// Two layers, each a dozen roundings deep in sums of at most 48 terms, of numbers near 1: as for
// the decoders (decoder_test.cpp), 1e-4 leaves room, and a wrong formula shows as 1e-1.
TEST(Encoder, ComputesTheFormulas) {
    const TinyBert bert;
    const TemporaryFolder folder;
    bert.write_folder(folder, "");
    Loaded loaded(*ModelSource::open(folder.path()));
    const std::vector<Vector> expected = bert.run(kTokens);
    const auto first = loaded.encode(kTokens, Pooling::First);
    const auto mean = loaded.encode(kTokens, Pooling::Mean);
    for (size_t i = 0; i < kHidden; ++i) {
        EXPECT_NEAR(first[i], expected[0][i], 1e-4);
        double sum = 0;
        for (const Vector& row : expected) {
            sum += row[i];
        }
        EXPECT_NEAR(mean[i], sum / static_cast<double>(kTokens.size()), 1e-4);
    }
}

// Its last token is the last that has a position: kContext rows, of which two stand before.
TEST(Encoder, RobertaCountsPositionsFromBehindThePadding) {
    const TinyBert roberta(Kind::Roberta);
    const TemporaryFolder folder;
    roberta.write_folder(folder, "roberta.");
    Loaded loaded(*ModelSource::open(folder.path()));
    std::vector<TokenId> tokens(kContext - kPadding - 1);
    std::iota(tokens.begin(), tokens.end(), 3u);
    EXPECT_EQ(loaded.encoder->tokens_max(), tokens.size());
    for (const bool padded : {false, true}) {
        tokens[4] = padded ? kPadding : 7;
        const std::vector<Vector> expected = roberta.run(tokens);
        const auto first = loaded.encode(tokens, Pooling::First);
        for (size_t i = 0; i < kHidden; ++i) {
            EXPECT_NEAR(first[i], expected[0][i], 1e-4);
        }
    }
}

// GGUF has RoBERTa as BERT, without the rows of positions up to the padding's; a folder made of
// that is BERT's.
TEST(Encoder, RobertaGivesTheSameVectorsAsAGgufFile) {
    const TinyBert roberta(Kind::Roberta);
    const TemporaryFolder folder;
    roberta.write_folder(folder, "roberta.");
    const auto source = ModelSource::open(folder.path());
    Loaded loaded(*source);
    kernels::ThreadPool pool(1);
    std::vector<std::byte> bytes;
    const auto into = [](std::vector<std::byte>& out) {
        return [&out](std::span<const std::byte> piece) -> Result<void> {
            out.insert(out.end(), piece.begin(), piece.end());
            return {};
        };
    };
    const auto contents = contents_of(**source);
    ASSERT_TRUE(contents) << contents.error().message;
    ASSERT_TRUE(write_gguf(*contents, pool, into(bytes), [](uint64_t, uint64_t) {}));
    const auto gguf = ModelSource::from_bytes(bytes);
    ASSERT_TRUE(gguf) << gguf.error().message;
    const GgufTensor* positions = (*gguf)->gguf()->find_tensor("position_embd.weight");
    ASSERT_NE(positions, nullptr);
    EXPECT_EQ(positions->ne[1], kContext - kPadding - 1);
    Loaded made(*gguf);

    const auto plan = folder_contents_of(**gguf);
    ASSERT_TRUE(plan) << plan.error().message;
    const TemporaryFolder back;
    std::vector<std::byte> tensors;
    ASSERT_TRUE(write_safetensors(plan->tensors, pool, into(tensors), [](uint64_t, uint64_t) {}));
    back.write("model.safetensors", tensors);
    back.write("config.json", json::to_text(json::Value(plan->config)));
    Loaded again(*ModelSource::open(back.path()));
    for (const Pooling pooling : {Pooling::Mean, Pooling::First}) {
        const auto expected = loaded.encode(kTokens, pooling);
        EXPECT_EQ(made.encode(kTokens, pooling), expected);
        EXPECT_EQ(again.encode(kTokens, pooling), expected);
    }
}

TEST(Encoder, APaddingThatIsNoTokenOrLeavesNoPositionIsRefused) {
    for (const uint32_t padding : {kVocabulary, kContext - 1, UINT32_MAX}) {
        const auto config = json::parse(fmt::format(R"({{"model_type": "roberta",
            "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4,
            "intermediate_size": 48, "vocab_size": {}, "max_position_embeddings": {},
            "pad_token_id": {}}})",
                                                    kVocabulary, kContext, padding));
        const auto read = config_from_json(*config->if_object());
        ASSERT_FALSE(read.has_value()) << padding;
        EXPECT_THAT(read.error().message, HasSubstr("pad_token_id"));
    }
}

Result<TransformerConfig> bert_config(const std::function<void(GgufWriter&)>& more) {
    GgufWriter file;
    file.add_text("general.architecture", "bert");
    file.add_u32("bert.block_count", kLayers).add_u32("bert.context_length", kContext);
    file.add_u32("bert.embedding_length", kHidden).add_u32("bert.feed_forward_length", kWidth);
    file.add_u32("bert.attention.head_count", kHeads).add_u32("bert.vocab_size", kVocabulary);
    file.add_f32("bert.attention.layer_norm_epsilon", 1e-5f);
    more(file);
    const auto bytes = file.finish();
    return config_from_gguf(*GgufFile::parse(bytes));
}

TEST(Encoder, NumbersOfTokenTypesThatMeanNothingAreRefused) {
    constexpr const char* kTypes = "tokenizer.ggml.token_type_count";
    EXPECT_EQ(bert_config([](GgufWriter&) {})->token_types, 2u);
    EXPECT_EQ(bert_config([](GgufWriter& out) { out.add_u32(kTypes, 1); })->token_types, 1u);
    for (const uint64_t types : {uint64_t{0}, uint64_t{1} << 31, (uint64_t{1} << 32) + 2}) {
        const auto read = bert_config([&](GgufWriter& out) { out.add_u64(kTypes, types); });
        ASSERT_FALSE(read.has_value()) << types;
        EXPECT_THAT(read.error().message, HasSubstr(kTypes));
    }
}

TEST(Encoder, LayersThatDifferOrSeeAWindowAreRefused) {
    const auto shapes = bert_config([](GgufWriter& out) {
        out.add_ints("bert.attention.head_count_kv", std::vector<int32_t>{1, 4});
    });
    ASSERT_FALSE(shapes.has_value());
    EXPECT_THAT(shapes.error().message, HasSubstr("bert.attention.head_count_kv"));
    const auto window =
        bert_config([](GgufWriter& out) { out.add_u32("bert.attention.sliding_window", 8); });
    ASSERT_FALSE(window.has_value());
    EXPECT_THAT(window.error().message, HasSubstr("bert.attention.sliding_window"));
}

TEST(Encoder, EveryFormOfTheFileGivesTheSameBits) {
    const TinyBert bert;
    const TemporaryFolder plain;
    const TemporaryFolder prefixed;
    bert.write_folder(plain, "");
    bert.write_folder(prefixed, "bert.", "gamma");
    const auto bytes = bert.gguf();
    Loaded from_plain(*ModelSource::open(plain.path()));
    Loaded from_prefixed(*ModelSource::open(prefixed.path()));
    Loaded from_gguf(*ModelSource::from_bytes(bytes), 2);
    const auto expected = from_plain.encode(kTokens, Pooling::Mean);
    EXPECT_EQ(from_prefixed.encode(kTokens, Pooling::Mean), expected);
    EXPECT_EQ(from_gguf.encode(kTokens, Pooling::Mean), expected);
}

TEST(Encoder, ATextsVectorDoesNotDependOnTheTextsBefore) {
    const auto bytes = TinyBert().gguf();
    Loaded loaded(*ModelSource::from_bytes(bytes));
    const auto expected = loaded.encode({1, 2, 3}, Pooling::Mean);
    loaded.encode(kTokens, Pooling::Mean);
    EXPECT_EQ(loaded.encode({1, 2, 3}, Pooling::Mean), expected);
}

TEST(Encoder, TextsThatDoNotFitAreRefused) {
    const auto bytes = TinyBert().gguf();
    Loaded loaded(*ModelSource::from_bytes(bytes));
    std::vector<float> out(kHidden);
    const auto refused = [&](const std::vector<TokenId>& tokens) {
        return !loaded.encoder->encode(tokens, Pooling::Mean, out).has_value();
    };
    EXPECT_TRUE(refused({}));
    EXPECT_TRUE(refused(std::vector<TokenId>(kContext + 1)));
    EXPECT_TRUE(refused({kVocabulary}));
    EXPECT_FALSE(refused(std::vector<TokenId>(kContext)));
}

TEST(Encoder, AnEncoderGeneratesNoText) {
    const auto bytes = TinyBert().gguf();
    kernels::ThreadPool pool(1);
    const auto model = load_model(*ModelSource::from_bytes(bytes), {},
                                  {*kernels::available_kernels().front(), pool});
    ASSERT_FALSE(model.has_value());
    EXPECT_THAT(model.error().message, HasSubstr("bert"));
}

TEST(Encoder, ThePlanCountsEveryTensorAndTheScratch) {
    const auto bytes = TinyBert().gguf();
    const auto source = ModelSource::from_bytes(bytes);
    const auto plan = Encoder::plan(**source);
    ASSERT_TRUE(plan.has_value()) << plan.error().message;
    uint64_t tensor_bytes = 0;
    for (const GgufTensor& tensor : (*source)->gguf()->tensors()) {
        tensor_bytes += tensor.bytes.size();
    }
    EXPECT_EQ(plan->weights_mapped_bytes + plan->weights_copied_bytes, tensor_bytes);
    EXPECT_EQ(plan->info.context_tokens, kContext);
    // The stream, keys and values, and in a layer at least as much again, all of the longest text.
    EXPECT_GE(plan->scratch_bytes, 4 * kContext * kHidden * sizeof(float));
    EXPECT_EQ(plan->total_bytes(), tensor_bytes + plan->scratch_bytes);
}

TEST(Encoder, NormalizedVectorsHaveTheLengthOne) {
    std::vector<float> vector = {3, 0, -4};
    normalize(vector);
    EXPECT_EQ(vector, (std::vector<float>{0.6f, 0, -0.8f}));
    std::vector<float> zeros(3);
    normalize(zeros);
    EXPECT_EQ(zeros, std::vector<float>(3));
}

}  // namespace
}  // namespace weir::model

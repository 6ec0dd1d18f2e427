// Tokenizer::from_sentencepiece: tokenizer.model of the kinds BPE and Unigram, a protocol buffer
// (sentencepiece_model.proto).

#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "json/parse.h"
#include "text/sentencepiece_config.h"
#include "text/tokenizer_parts.h"
#include "text/vocab_probe.h"

namespace weir::text {
namespace {

// The wire format's four kinds of fields; groups (3, 4) are long gone and refused.
enum class WireType : uint8_t { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

struct Field {
    uint32_t number = 0;
    WireType type = WireType::Varint;
    uint64_t value = 0;                // Varint, Fixed32, Fixed64
    std::span<const std::byte> bytes;  // Bytes
};

// The fields of one message, in order. Nothing is copied or allocated.
class MessageReader {
  public:
    explicit MessageReader(std::span<const std::byte> message) : in_(message) {}

    bool at_end() const { return in_.remaining() == 0; }

    Result<Field> next() {
        WEIR_TRY_ASSIGN(const uint64_t tag, varint());
        Field field;
        field.type = static_cast<WireType>(tag & 7);
        if (tag >> 3 == 0 || tag >> 3 > std::numeric_limits<uint32_t>::max() >> 3) {
            return data_corrupt("tokenizer.model has a field with the number {}", tag >> 3);
        }
        field.number = static_cast<uint32_t>(tag >> 3);
        switch (field.type) {
            case WireType::Varint: {
                WEIR_TRY_ASSIGN(field.value, varint());
                return field;
            }
            case WireType::Fixed64: {
                WEIR_TRY_ASSIGN(field.value, in_.read<uint64_t>());
                return field;
            }
            case WireType::Bytes: {
                WEIR_TRY_ASSIGN(const uint64_t size, varint());
                WEIR_TRY_ASSIGN(field.bytes, in_.read_bytes(size));
                return field;
            }
            case WireType::Fixed32: {
                WEIR_TRY_ASSIGN(field.value, in_.read<uint32_t>());
                return field;
            }
        }
        return data_corrupt("tokenizer.model has a field of the wire type {}", tag & 7);
    }

  private:
    Result<uint64_t> varint() {
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            WEIR_TRY_ASSIGN(const uint8_t byte, in_.read<uint8_t>());
            value |= uint64_t{byte & 0x7FU} << shift;
            if (byte < 0x80) {
                return value;
            }
        }
        return data_corrupt("tokenizer.model has a number of more than ten bytes");
    }

    ByteReader in_;
};

// Calls read(field) for each field of a message.
template <typename Read>
Result<void> read_message(std::span<const std::byte> message, const Read& read) {
    MessageReader reader(message);
    while (!reader.at_end()) {
        WEIR_TRY_ASSIGN(const Field field, reader.next());
        WEIR_TRY(read(field));
    }
    return {};
}

Result<void> expect(const Field& field, WireType type) {
    if (field.type != type) {
        return data_corrupt("tokenizer.model has field {} in the wrong type", field.number);
    }
    return {};
}

std::string_view text_of(const Field& field) {
    return {reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size()};
}

Result<void> read_piece(const Field& piece, VocabSpec& spec) {
    std::string_view text;
    float score = 0;
    uint64_t type = static_cast<uint64_t>(TokenType::Normal);
    const auto read_field = [&](const Field& field) -> Result<void> {
        switch (field.number) {
            case 1:
                WEIR_TRY(expect(field, WireType::Bytes));
                text = text_of(field);
                return {};
            case 2: {
                WEIR_TRY(expect(field, WireType::Fixed32));
                const auto bits = static_cast<uint32_t>(field.value);
                std::memcpy(&score, &bits, sizeof(score));
                return {};
            }
            case 3:
                WEIR_TRY(expect(field, WireType::Varint));
                type = field.value;
                return {};
            default:
                return {};
        }
    };
    WEIR_TRY(read_message(piece.bytes, read_field));
    if (spec.tokens.size() == kVocabTokensMax || type > static_cast<uint64_t>(TokenType::Byte)) {
        return data_corrupt("piece {} of tokenizer.model is none", spec.tokens.size());
    }
    spec.tokens.push_back(text);
    spec.scores.push_back(score);
    spec.types.push_back(static_cast<int32_t>(type));
    return {};
}

// The proto's enumerator; absent is Unigram.
constexpr uint64_t kModelTypeUnigram = 1;
constexpr uint64_t kModelTypeBpe = 2;

// Ids are int32 on the wire; -1 says that there is no such token.
std::optional<uint32_t> id_of(uint64_t value) {
    return value > std::numeric_limits<int32_t>::max()
               ? std::nullopt
               : std::optional(static_cast<uint32_t>(value));
}

Result<void> read_trainer(const Field& trainer, VocabSpec& spec, uint64_t& model_type) {
    return read_message(trainer.bytes, [&](const Field& field) -> Result<void> {
        if (field.type != WireType::Varint) {
            return {};
        }
        switch (field.number) {
            case 3:
                model_type = field.value;
                return {};
            case 24:
                return field.value == 0 ? Result<void>()
                                        : unsupported("tokenizer.model puts spaces behind words");
            case 40:
                spec.unknown_token_id = id_of(field.value);
                return {};
            case 41:
                spec.bos_token_id = id_of(field.value);
                return {};
            case 42:
                spec.eos_token_id = id_of(field.value);
                return {};
            case 43:
                spec.padding_token_id = id_of(field.value);
                return {};
            default:
                return {};
        }
    });
}

Result<void> read_normalizer_spec(const Field& normalizer, VocabSpec& spec) {
    return read_message(normalizer.bytes, [&](const Field& field) -> Result<void> {
        switch (field.number) {
            case 2:
                WEIR_TRY(expect(field, WireType::Bytes));
                spec.precompiled_charsmap = field.bytes;
                return {};
            case 3:
                spec.add_space_prefix = field.value != 0;
                return {};
            case 4:
                spec.remove_extra_whitespaces = field.value != 0;
                return {};
            case 5:
                return field.value != 0 ? Result<void>()
                                        : unsupported("tokenizer.model keeps spaces as they are");
            default:
                return {};
        }
    });
}

// The whole of both files.
Result<VocabKeys> read_keys(std::span<const std::byte> model, std::string_view config_json) {
    // The proto's defaults.
    VocabKeys keys;
    VocabSpec& spec = keys.spec;
    spec = {.model = "llama",
            .bos_token_id = 1,
            .eos_token_id = 2,
            .unknown_token_id = 0,
            .add_space_prefix = true,
            .remove_extra_whitespaces = true};
    uint64_t model_type = kModelTypeUnigram;
    const auto read_field = [&](const Field& field) -> Result<void> {
        if (field.number > 3) {
            return {};  // self-test data and what may come
        }
        WEIR_TRY(expect(field, WireType::Bytes));
        switch (field.number) {
            case 1:
                return read_piece(field, spec);
            case 2:
                return read_trainer(field, spec, model_type);
            default:
                return read_normalizer_spec(field, spec);
        }
    };
    WEIR_TRY(read_message(model, read_field));
    if (model_type != kModelTypeBpe && model_type != kModelTypeUnigram) {
        return unsupported("tokenizer.model is of the kind word or char");
    }
    spec.model = model_type == kModelTypeBpe ? "llama" : "t5";
    if (config_json.empty()) {
        return keys;
    }
    auto config = json::parse(config_json, json::kModelFile);
    auto applied = config ? Result<void>() : std::unexpected(config.error());
    if (applied) {
        keys.file =
            std::make_shared<const json::Value>(*std::move(config));  // spec borrows from it
        const json::Object* object = keys.file->if_object();
        applied = object == nullptr ? data_corrupt("an object is needed")
                                    : apply_tokenizer_config(*object, spec);
    }
    if (!applied) {
        return std::unexpected(as_corrupt(std::move(applied).error(), "tokenizer_config.json"));
    }
    return keys;
}

}  // namespace

Result<Tokenizer> Tokenizer::from_sentencepiece(std::span<const std::byte> model,
                                                std::string_view config_json) {
    WEIR_TRY_ASSIGN(const VocabKeys keys, read_keys(model, config_json));
    return from_spec(keys.spec);
}

Result<VocabKeys> vocab_keys_of_sentencepiece(std::span<const std::byte> model,
                                              std::string_view config_json, size_t vocabulary) {
    WEIR_TRY_ASSIGN(VocabKeys keys, read_keys(model, config_json));
    VocabSpec& spec = keys.spec;
    spec.pre = "default";
    const bool is_bpe = spec.model == "llama";  // whose readers put BOS before a text by default
    spec.add_bos_token = spec.add_bos_token.value_or(is_bpe);
    spec.add_eos_token = spec.add_eos_token.value_or(false);
    WEIR_TRY(fit_to(vocabulary, keys));
    return keys;
}

}  // namespace weir::text

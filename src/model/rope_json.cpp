#include "model/rope_json.h"

#include <cmath>

#include "model/file_errors.h"
#include "model/rope.h"

namespace weir::model {

namespace {

using json::in_range;

constexpr double kFactorMax = 1e9;

class Reader {
  public:
    Reader(json::Fields fields, const RopeJsonContext& context)
        : fields_(std::move(fields)), context_(context) {}

    Result<RopeJson> read() {
        WEIR_TRY_ASSIGN(const std::string type, read_type());
        WEIR_TRY(fields_.read("rope_theta", in_range(0.0, 1e15), out_.theta));
        WEIR_TRY(fields_.read("partial_rotary_factor", in_range(0.0, 1.0), out_.rotary_part));
        WEIR_TRY(fields_.read("llama_4_scaling_beta", in_range(-kFactorMax, kFactorMax),
                              out_.temperature_beta));
        out_.original_context = context_.context_tokens;
        WEIR_TRY(fields_.read("original_max_position_embeddings", in_range(1u, kContextMax),
                              out_.original_context));
        out_.original_context = context_.original_context.value_or(out_.original_context);
        fields_.ignore({"max_position_embeddings"});  // Ministral 3 repeats it here
        // Which of three positions turns a pair; those of a text are all equal.
        fields_.ignore({"mrope_interleaved", "mrope_section"});
        WEIR_TRY(read_scaling(type));
        WEIR_TRY(fields_.refuse_unknown());
        return std::move(out_);
    }

  private:
    Result<std::string> read_type() {
        std::optional<std::string> type;
        std::optional<std::string> old_type;
        WEIR_TRY(fields_.read("rope_type", type));
        WEIR_TRY(fields_.read("type", old_type));
        return type.value_or(old_type.value_or("default"));
    }

    Result<void> read_scaling(const std::string& type) {
        if (type == "default") {
            return check_unscaled();
        }
        if (type == "linear") {
            return set(read_linear());
        }
        if (type == "llama3") {
            return set(read_llama3());
        }
        // Phi's lists were published under all three names.
        if (type == "longrope" || type == "su" || (type == "yarn" && has("short_factor"))) {
            return set(read_longrope());
        }
        if (type == "yarn") {
            return set(read_yarn());
        }
        if (type == "proportional") {
            return set(read_proportional());
        }
        return unsupported("{}: rope type \"{}\" is not supported", fields_.path_of("rope_type"),
                           type);
    }

    // A factor that says nothing may stand beside no type.
    Result<void> check_unscaled() {
        double factor = 1;
        WEIR_TRY(fields_.read("factor", in_range(0.0, kFactorMax), factor));
        if (factor != 1) {
            return data_corrupt("{} is {}, but {} says that nothing is scaled",
                                fields_.path_of("factor"), factor, fields_.path_of("rope_type"));
        }
        return {};
    }

    template <typename Scaling>
    Result<void> set(Result<Scaling> scaling) {
        WEIR_TRY(scaling);
        out_.scaling = *std::move(scaling);
        return {};
    }

    bool has(std::string_view name) { return fields_.get(name) != nullptr; }

    Result<double> require_factor(std::string_view name) {
        std::optional<double> value;
        WEIR_TRY(fields_.read(name, in_range(0.0, kFactorMax), value));
        if (!value) {
            return data_corrupt("{} is missing", fields_.path_of(name));
        }
        return *value;
    }

    Result<LinearScaling> read_linear() {
        WEIR_TRY_ASSIGN(const double factor, require_factor("factor"));
        return LinearScaling{factor};
    }

    Result<Llama3Scaling> read_llama3() {
        Llama3Scaling out{.original_context = out_.original_context};
        WEIR_TRY_ASSIGN(out.factor, require_factor("factor"));
        WEIR_TRY_ASSIGN(out.low_freq_factor, require_factor("low_freq_factor"));
        WEIR_TRY_ASSIGN(out.high_freq_factor, require_factor("high_freq_factor"));
        return out;
    }

    // How much longer than the original the context is.
    double stretch() const {
        return static_cast<double>(context_.context_tokens) / out_.original_context;
    }

    Result<YarnScaling> read_yarn() {
        YarnScaling out{.factor = stretch(), .original_context = out_.original_context};
        WEIR_TRY(fields_.read("factor", in_range(0.0, kFactorMax), out.factor));
        WEIR_TRY(fields_.read("beta_fast", in_range(0.0, kFactorMax), out.beta_fast));
        WEIR_TRY(fields_.read("beta_slow", in_range(0.0, kFactorMax), out.beta_slow));
        WEIR_TRY(fields_.read("truncate", out.truncate));
        std::optional<double> attention;
        std::optional<double> mscale;
        std::optional<double> mscale_all;
        WEIR_TRY(fields_.read("attention_factor", in_range(0.0, kFactorMax), attention));
        WEIR_TRY(fields_.read("mscale", in_range(0.0, kFactorMax), mscale));
        WEIR_TRY(fields_.read("mscale_all_dim", in_range(0.0, kFactorMax), mscale_all));
        out.attention_factor = yarn_mscale(out.factor, 1);
        if (mscale.value_or(0) != 0 && mscale_all.value_or(0) != 0) {
            out.attention_factor =
                yarn_mscale(out.factor, *mscale) / yarn_mscale(out.factor, *mscale_all);
        }
        out.attention_factor = attention.value_or(out.attention_factor);
        return out;
    }

    // Cosines and sines grow by sqrt(1 + ln(s) / ln(original)), s the stretch of the context.
    Result<LongropeScaling> read_longrope() {
        LongropeScaling out{.original_context = out_.original_context};
        WEIR_TRY_ASSIGN(out.short_divisors, read_divisors("short_factor"));
        WEIR_TRY_ASSIGN(out.long_divisors, read_divisors("long_factor"));
        double factor = stretch();
        WEIR_TRY(fields_.read("factor", in_range(0.0, kFactorMax), factor));
        if (factor > 1) {
            out.attention_factor = std::sqrt(
                1 + std::log(factor) / std::log(static_cast<double>(out.original_context)));
        }
        WEIR_TRY(fields_.read("attention_factor", in_range(0.0, kFactorMax), out.attention_factor));
        // As GGUF has it, so that both formats give the same bits.
        out.attention_factor = static_cast<double>(static_cast<float>(out.attention_factor));
        // Phi-3.5-MoE has a factor a list instead; two amplitudes are not built.
        for (const std::string_view name : {"short_mscale", "long_mscale"}) {
            if (has(name)) {
                return unsupported("{} is not supported", fields_.path_of(name));
            }
        }
        return out;
    }

    Result<std::vector<float>> read_divisors(std::string_view name) {
        WEIR_TRY_ASSIGN(const json::Array* array, fields_.require_array(name));
        if (array->empty() || array->size() > kHeadDimMax) {
            return data_corrupt("{} has {} numbers", fields_.path_of(name), array->size());
        }
        std::vector<float> out;
        for (const json::Value& value : *array) {
            const auto* whole = std::get_if<int64_t>(&value.storage());
            const auto* real = std::get_if<double>(&value.storage());
            if (whole == nullptr && real == nullptr) {
                return data_corrupt("{}: not a list of numbers", fields_.path_of(name));
            }
            out.push_back(
                static_cast<float>(real == nullptr ? static_cast<double>(*whole) : *real));
        }
        return out;
    }

    Result<ProportionalScaling> read_proportional() {
        ProportionalScaling out{.part = out_.rotary_part.value_or(1)};
        out_.rotary_part.reset();  // the pairs span the whole head all the same
        WEIR_TRY(fields_.read("factor", in_range(0.0, kFactorMax), out.factor));
        return out;
    }

    json::Fields fields_;
    const RopeJsonContext& context_;
    RopeJson out_;
};

}  // namespace

Result<RopeJson> read_rope_json(json::Fields fields, const RopeJsonContext& context) {
    return Reader(std::move(fields), context).read();
}

}  // namespace weir::model

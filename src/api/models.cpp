#include "api/models.h"

#include "json/write.h"

namespace weir::api {
namespace {

void write_model(json::Writer& writer, const ModelEntry& model) {
    writer.begin_object().member("id", std::string_view(model.id)).member("object", "model");
    writer.member("created", model.created)
        .member("owned_by", std::string_view(model.owned_by))
        .end_object();
}

}  // namespace

std::string model_json(const ModelEntry& model) {
    std::string out;
    json::Writer writer(out);
    write_model(writer, model);
    return out;
}

std::string model_list_json(std::span<const ModelEntry> models) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object().member("object", "list").key("data").begin_array();
    for (const ModelEntry& model : models) {
        write_model(writer, model);
    }
    writer.end_array().end_object();
    return out;
}

Error model_not_found() {
    return make_error(ErrorCode::NotFound, "there is no model of that name, or none for this key")
        .with_field("model")
        .with_reason("model_not_found");
}

}  // namespace weir::api

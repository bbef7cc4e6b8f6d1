//! The model registry (`protos/model_registry.proto`).

use super::words::*;

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    row(POST, V2, "model-versions/create", Message("CreateModelVersion"), &[on(ModelWrite, Model("name")), Need::Tags], Write).answers(Answer::Stages).ruled(Rule::Source),
    row(DELETE, V2, "model-versions/delete", Message("DeleteModelVersion"), &[on(ModelDelete, Model("name"))], Write).ruled(Rule::NotInService).or_in_query(),
    row(DELETE, V2, "model-versions/delete-tag", Message("DeleteModelVersionTag"), &[Need::Tag], Write).ruled(Rule::Metadata).or_in_query(),
    row(GET, V2, "model-versions/get", Message("GetModelVersion"), &[on(MetadataRead, Model("name"))], Read).answers(Answer::Stages),
    row(GET, V2, "model-versions/get-download-uri", Message("GetModelVersionDownloadUri"), &[on(ModelRead, Model("name"))], Read),
    row(GET, V2, "model-versions/search", Message("SearchModelVersions"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::ModelVersions),
    row(POST, V2, "model-versions/set-tag", Message("SetModelVersionTag"), &[Need::Tag], Write).ruled(Rule::Metadata),
    row(POST, V2, "model-versions/transition-stage", Message("TransitionModelVersionStage"), &[Need::Transition], Write).answers(Answer::Stages).ruled(Rule::Transition),
    row(PATCH, V2, "model-versions/update", Message("UpdateModelVersion"), &[on(MetadataWrite, Model("name"))], Write).answers(Answer::Stages),
    row(DELETE, V2, "registered-models/alias", Message("DeleteRegisteredModelAlias"), &[on(ModelDeploy, Alias)], Write),
    row(GET, V2, "registered-models/alias", Message("GetModelVersionByAlias"), &[on(MetadataRead, Model("name"))], Read).answers(Answer::Stages),
    row(POST, V2, "registered-models/alias", Message("SetRegisteredModelAlias"), &[on(ModelDeploy, Alias)], Write).ruled(Rule::Alias),
    row(POST, V2, "registered-models/create", Message("CreateRegisteredModel"), &[on(ModelWrite, Model("name")), Need::Tags], Write).answers(Answer::Stages).ruled(Rule::Name),
    row(DELETE, V2, "registered-models/delete", Message("DeleteRegisteredModel"), &[on(ModelDelete, Model("name"))], Write).ruled(Rule::NotInService).or_in_query(),
    row(DELETE, V2, "registered-models/delete-tag", Message("DeleteRegisteredModelTag"), &[Need::Tag], Write).or_in_query(),
    row(GET, V2, "registered-models/get", Message("GetRegisteredModel"), &[on(MetadataRead, Model("name"))], Read).answers(Answer::Stages),
    row(GET, V2, "registered-models/get-latest-versions", Message("GetLatestVersions"), &[on(MetadataRead, Model("name"))], Read).answers(Answer::Latest),
    row(POST, V2, "registered-models/get-latest-versions", Message("GetLatestVersions"), &[on(MetadataRead, Model("name"))], Read).answers(Answer::Latest),
    row(POST, V2, "registered-models/rename", Message("RenameRegisteredModel"), &[on(ModelWrite, Model("name")), on(ModelWrite, Model("new_name"))], Write).answers(Answer::Stages).ruled(Rule::Name),
    row(GET, V2, "registered-models/search", Message("SearchRegisteredModels"), &[on(MetadataRead, SomeModel)], Read).answers(Answer::RegisteredModels),
    row(POST, V2, "registered-models/set-tag", Message("SetRegisteredModelTag"), &[Need::Tag], Write),
    row(PATCH, V2, "registered-models/update", Message("UpdateRegisteredModel"), &[on(MetadataWrite, Model("name"))], Write).answers(Answer::Stages),
];

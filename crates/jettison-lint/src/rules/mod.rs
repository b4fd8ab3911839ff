//! The rules, one file each. To add one: write its file, and name it here.
//!
//! Codes: 1xx Python and size; 2xx what BuildKit checks; 3xx what else any Dockerfile can get wrong; 4xx the context.

use crate::rule::Rule;

/// Declares the files and lists their rules.
macro_rules! rules {
    ($($module:ident,)*) => {
        $(mod $module;)*
        static RULES: &[&Rule] = &[$(&$module::RULE,)*];
    };
}

rules! {
    build_tools_in_final_stage,
    single_stage_build,
    dependencies_after_source,
    whole_prefix_copied,
    venv_moved,
    interpreter_differs,
    full_base_image,
    runtime_library_missing,
    musl_without_wheels,
    installer_left_in_image,
    package_cache_kept,
    package_lists_left,
    recommended_packages_installed,
    removed_in_later_layer,
    owner_changed_in_later_layer,
    floating_requirement,
    floating_base_tag,
    base_without_digest,
    timestamped_bytecode,
    unbuffered_output_missing,
    development_dependencies_installed,
    root_user,
    secret_in_build,
    development_server,
    healthcheck_missing,
    cache_mount_misused,
    wheels_without_dependencies,
    package_lists_stale,
    invalid_instruction,
    stage_name_casing,
    from_as_casing,
    no_empty_continuation,
    consistent_instruction_casing,
    duplicate_stage_name,
    reserved_stage_name,
    json_args_recommended,
    maintainer_deprecated,
    undefined_arg_in_from,
    workdir_relative_path,
    undefined_var,
    multiple_instructions_disallowed,
    legacy_key_value_format,
    redundant_target_platform,
    secrets_used_in_arg_or_env,
    invalid_default_arg_in_from,
    from_platform_flag_const_disallowed,
    invalid_definition_description,
    expose_proto_casing,
    expose_invalid_format,
    invalid_base_image_platform,
    comment_ignores_findings,
    interactive_command,
    cd_instead_of_workdir,
    sudo_in_build,
    archive_unpacked_by_run,
    package_version_missing,
    tool_version_missing,
    confirmation_missing,
    apt_in_script,
    add_instead_of_copy,
    destination_not_a_directory,
    source_stage_unknown,
    source_stage_own,
    registry_not_trusted,
    distribution_upgraded,
    variable_not_yet_set,
    destination_relative,
    useradd_fills_logs,
    wget_fills_log,
    label_key_invalid,
    label_missing,
    label_unknown,
    label_value_invalid,
    consecutive_runs,
    user_by_name,
    whole_filesystem_copied,
    curl_and_wget,
    shell_replaced,
    pipe_hides_failure,
    unused_suppression,
    unknown_suppression,
    shellcheck,
    dockerignore_missing,
    context_lets_through,
    ignored_file_copied,
    copied_file_missing,
    lock_not_enforced,
    python_not_allowed,
}

pub(crate) use recommended_packages_installed::needed_beside;
pub(crate) use root_user::{made as made_user, new_user, steps_down};

/// The rule that runs ShellCheck: what it finds has codes of its own.
pub(crate) const SHELLCHECK: &str = "JET390";

/// The rule about comments that ignore nothing, which is judged when all others are done.
pub(crate) const UNUSED_SUPPRESSION: &str = "JET330";

/// Every rule, by code.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied()
}

/* rules.h -- what Kubernetes demands of a value or of an object, for kinds.def and for
 * the few who read such values themselves (manifest.c, selector.c, daemon/config.c).
 *
 * The is_x functions look at one string and return NULL when it is fine, else
 * Kubernetes' own words about it.  The others look at a whole object.
 */
#ifndef KEDGE_RULES_H
#define KEDGE_RULES_H
#include "base/addr.h"
#include "schema.h"

typedef const char *rule_fn(const char *text, struct arena *);
rule_fn is_label, is_dns1035_label, is_subdomain, is_label_key, is_label_value;
rule_fn is_annotation_key, is_config_key, is_env_name, is_port_name, is_ip, is_cluster_ip;
rule_fn is_abs_path, is_mount_path, is_relative_path, is_image, is_percent, is_sysctl;
rule_fn is_header_name, is_dns_search;
rule_fn is_pod_ranges, is_service_ranges, is_addresses, is_listen, is_secure_listen,
    is_secure_name, is_ports, is_link_name, is_chains; /* of kedge.yaml */
rule_fn is_brain_user, is_own_folder, is_size, is_capability, is_registry, is_mirror,
    is_dns_server;

/* Why nobody may be sent to that address; NULL: they may, or it is none. */
rule_fn ip_special;
bool ip_is_loopback(const char *text);

typedef void rule_check_fn(const void *obj, const struct place *);
rule_check_fn requirement_check, config_map_check, secret_check, service_spec_check;
rule_check_fn env_var_source_check, env_var_check, env_from_source_check;
rule_check_fn resource_requirements_check, probe_check, lifecycle_handler_check;
rule_check_fn namespace_check, security_context_check, pod_security_context_check,
    seccomp_profile_check;
rule_check_fn app_armor_profile_check, container_check, volume_check, pod_spec_check;
rule_check_fn empty_dir_check, pod_os_check, token_projection_check;
struct pod_spec;
void pod_sysctls_check(const struct pod_spec *, const struct place *); /* rules_security.c */
rule_check_fn replica_set_spec_check, rolling_update_check, deployment_strategy_check;
rule_check_fn deployment_spec_check, config_network_check, config_dns_check,
    config_dns_stub_check;

typedef void rule_defaults_fn(void *obj, struct arena *);
rule_defaults_fn secret_defaults, service_port_defaults, service_spec_defaults;
rule_defaults_fn resource_requirements_defaults, container_defaults, volume_defaults;
rule_defaults_fn deployment_strategy_defaults;

struct addr_range;
/* "RANGE" of IPv4, or "RANGE,RANGE" of which the second is of IPv6; ret_six->bits 0: there is
 * none. */
const char *ranges_read(const char *text, bool services, struct addr_range *ret_four,
			struct addr_range *ret_six, struct arena *);
/* The values behind is_listen and is_ports; NULL, or what is wrong with the text.
 * Addresses in host order. */
const char *listen_read(const char *text, uint32_t *ret_ip, uint16_t *ret_port, struct arena *);
const char *secure_listen_read(const char *text, uint32_t *ret_ip, uint16_t *ret_port);
/* "192.0.2.7", "192.0.2.0/24" or "192.0.2.10-192.0.2.20", both ends included. */
const char *addresses_read(const char *text, addr *ret_first, addr *ret_last);
const char *ports_read(const char *text, int *ret_low, int *ret_high);

/* rules_volume.c */
rule_fn is_volume_path, is_host_path;
rule_defaults_fn image_volume_defaults;
const char *image_pull_policy(const char *image); /* when nothing is said */
rule_check_fn volume_mount_check, bidirectional_check, volume_spec_check, claim_spec_check;
rule_check_fn downward_api_file_check, volume_projection_check, projected_check;

/* rules_field.c: of a value in an environment or (`file`) in a volume */
struct resource_field_selector;
void field_path_check(const char *path, bool file, const struct place *);
void resource_field_check(const struct resource_field_selector *, bool file,
			  const struct place *);

/* rules_policy.c */
rule_fn is_cidr;
rule_check_fn ip_block_check, network_policy_peer_check, network_policy_port_check;
rule_check_fn network_policy_spec_check;
rule_defaults_fn network_policy_spec_defaults;

/* rules_endpoints.c */
rule_check_fn endpoints_check, endpoint_slice_check;

/* rules_event.c */
rule_check_fn event_check;

/* rules_rbac.c */
rule_fn is_path_segment;
rule_check_fn policy_rule_check, subject_check, role_check, cluster_role_check;
rule_check_fn role_binding_check, cluster_role_binding_check;
rule_defaults_fn subject_defaults;

/* rules_quota.c */
rule_fn is_quota_name;
rule_check_fn limit_range_item_check, scoped_selector_check, resource_quota_spec_check;
rule_check_fn disruption_budget_spec_check;
rule_defaults_fn limit_range_item_defaults;
#endif

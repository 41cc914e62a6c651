/* cppcheck.h -- macros of libraries that cppcheck does not look into. */
#define json_array_foreach(a, i, v)  for ((i) = 0; ((v) = json_array_get(a, i)); (i)++)
#define json_object_foreach(o, k, v) for ((k) = json_next(o); ((v) = json_object_get(o, k));)
#define mnl_attr_for_each(a, nlh, n) \
	for ((a) = mnl_nlmsg_get_payload_offset(nlh, n); (a); (a) = mnl_attr_next(a))
#define mnl_attr_for_each_nested(a, nest) \
	for ((a) = mnl_attr_get_payload(nest); (a); (a) = mnl_attr_next(a))

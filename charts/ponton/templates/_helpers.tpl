{{/* Names, labels, images and security contexts that the other templates share. */}}

{{- define "ponton.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What begins the names of objects that belong to no namespace. */}}
{{- define "ponton.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "ponton.fullname" .) -}}
{{- end -}}

{{/* What selects the pods of a component. Takes (dict "root" $ "component" NAME). */}}
{{- define "ponton.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "ponton.labels" -}}
{{ include "ponton.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: ponton
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The full name of an image of Ponton. Takes (dict "root" $ "image" IMAGE). */}}
{{- define "ponton.image" -}}
{{- $image := .image -}}
{{- $name := $image.repository -}}
{{- if .root.Values.images.registry }}{{ $name = printf "%s/%s" .root.Values.images.registry $name }}{{ end -}}
{{- include "ponton.reference" (dict "name" $name "image" $image "tag" .root.Chart.AppVersion) -}}
{{- end -}}

{{/* Name with digest, or with tag. Takes (dict "name" NAME "image" IMAGE "tag" DEFAULT). */}}
{{- define "ponton.reference" -}}
{{- if .image.digest }}{{ .name }}@{{ .image.digest }}{{ else }}{{ .name }}:{{ default .tag .image.tag }}{{ end -}}
{{- end -}}

{{- define "ponton.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Pod Security level "restricted", for a pod and for each of its containers. */}}
{{- define "ponton.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "ponton.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "ponton.controlPriority" -}}
{{- if .Values.priorityClasses.create }}
priorityClassName: {{ include "ponton.clusterName" . }}-control
{{- end }}
{{- end -}}

{{/* The namespaces that are served, as {"names": […]}. */}}
{{- define "ponton.namespaces" -}}
{{- dict "names" (prepend .Values.namespaces .Release.Namespace | uniq) | toJson -}}
{{- end -}}

{{- define "ponton.redisSecret" -}}
{{- default (printf "%s-redis" (include "ponton.fullname" .)) .Values.redis.existingSecret -}}
{{- end -}}

{{- define "ponton.xmppSecret" -}}
{{- default (printf "%s-xmpp" (include "ponton.fullname" .)) .Values.prosody.existingSecret -}}
{{- end -}}

{{- define "ponton.xmppTls" -}}
{{- default (printf "%s-xmpp-tls" (include "ponton.fullname" .)) .Values.prosody.tlsSecret -}}
{{- end -}}

{{- define "ponton.xmppUsers" -}}
{{- default (printf "%s-xmpp-users" (include "ponton.fullname" .)) .Values.prosody.usersSecret -}}
{{- end -}}

{{/* Where the bundled Prosody is found from any namespace: the name of its Service. */}}
{{- define "ponton.xmppHost" -}}
{{- printf "%s-xmpp.%s.svc" (include "ponton.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "aos.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "aos.labels" -}}
app.kubernetes.io/part-of: aos
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{- define "aos.selector" -}}
app.kubernetes.io/part-of: aos
app.kubernetes.io/component: {{ . | quote }}
{{- end }}

{{- /* Whether the store is a file that one gateway alone can use. Values that contradict each other end here. */ -}}
{{- define "aos.sqlite" -}}
{{- $store := .Values.gateway.store -}}
{{- if and $store.existingSecret $store.emptyDir -}}
{{- fail "gateway.store: existingSecret (PostgreSQL) and emptyDir (a file in the pod) can't both be given" -}}
{{- end -}}
{{- if and (not $store.existingSecret) (gt (int .Values.gateway.replicas) 1) -}}
{{- fail (printf "gateway.replicas is %d, but without PostgreSQL the store is a file that one replica alone can use: set gateway.replicas to 1, or gateway.store.existingSecret to a Secret that holds the URL of a PostgreSQL server" (int .Values.gateway.replicas)) -}}
{{- end -}}
{{- if not $store.existingSecret -}}true{{- end -}}
{{- end }}

{{- define "aos.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "aos.container" -}}
image: {{ include "aos.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* The webhooks as the operator reads them: a file in place of each reference to a Secret. */}}
{{- define "aos.notifications" -}}
{{- $webhooks := list -}}
{{- range .Values.notifications -}}
{{- $webhook := omit . "urlSecretRef" "keySecretRef" -}}
{{- if .urlSecretRef -}}
{{- $webhook = set $webhook "urlFile" (printf "/etc/aos/webhooks/%s/url" .name) -}}
{{- end -}}
{{- if .keySecretRef -}}
{{- $webhook = set $webhook "keyFile" (printf "/etc/aos/webhooks/%s/key" .name) -}}
{{- end -}}
{{- $webhooks = append $webhooks $webhook -}}
{{- end -}}
{{- $webhooks | toJson -}}
{{- end -}}
